// Tells scalegate how long the queue of a worker is: java Push.java worker queue /var/spool/jobs
//
// The queue is a directory here, in which each file is a job. SCALEGATE_SERVER and SCALEGATE_KEY are those of Scale.java; a key
// with the scope "push" is enough.

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

public class Push {
    static final String SERVER = System.getenv().getOrDefault("SCALEGATE_SERVER", "http://127.0.0.1:8080");
    static final String KEY = System.getenv().getOrDefault("SCALEGATE_KEY", "");
    static final HttpClient CLIENT = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();

    public static void main(String[] args) throws InterruptedException {
        var url = URI.create("%s/v1/resources/%s/metrics/%s".formatted(SERVER, args[0], args[1]));
        var request = HttpRequest.newBuilder(url).timeout(Duration.ofSeconds(10)).header("Content-Type", "application/json");
        if (!KEY.isEmpty()) {
            request.header("Authorization", "Bearer " + KEY);
        }
        while (true) {
            try (var jobs = Files.list(Path.of(args[2]))) {
                var value = jobs.count();
                request.POST(BodyPublishers.ofString("{\"value\": %d}".formatted(value)));
                var answer = CLIENT.send(request.build(), BodyHandlers.ofString());
                System.out.println(answer.statusCode() == 202 ? value : answer.body());
            } catch (IOException error) {
                System.out.println("not pushed: " + error);
            }
            Thread.sleep(15_000);
        }
    }
}
