// Scales a resource through scalegate and waits for the result: java Scale.java worker 5
//
// Needs Java 17 or newer and nothing else. Java has no JSON parser of its own, so this program finds the few fields it
// needs with regular expressions. A program that depends on a JSON library anyway should use that instead.
//
// SCALEGATE_SERVER says where the gateway is; http://127.0.0.1:8080 if it is not set.
// SCALEGATE_KEY holds the API key, if the gateway wants one; it needs the scope "scale".
// Exit code: 0 the capacity is reached, 1 the job ended in another way, 2 the request was refused,
// 3 the gateway did not answer for ten minutes (a job it has accepted goes on nevertheless).

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.Instant;
import java.util.Set;
import java.util.UUID;
import java.util.regex.Pattern;

public class Scale {
    static final String SERVER = System.getenv().getOrDefault("SCALEGATE_SERVER", "http://127.0.0.1:8080");
    static final String KEY = System.getenv().getOrDefault("SCALEGATE_KEY", "");
    static final Duration PATIENCE = Duration.ofMinutes(10); // without an answer
    static final HttpClient CLIENT = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();

    public static void main(String[] args) throws InterruptedException {
        if (args.length != 2 || !args[1].matches("\\d+") || args[0].matches(".*[\"\\\\\\p{Cntrl}].*")) {
            fail(2, "usage: java Scale.java RESOURCE TARGET");
        }
        // With the same key, a POST sent again gets the same job, even if only the answer to the first one was lost.
        var answer = call(request("/v1/jobs")
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", UUID.randomUUID().toString())
                .POST(HttpRequest.BodyPublishers.ofString(
                        "{\"resource\": \"%s\", \"targetCapacity\": %s}".formatted(args[0], args[1]))));
        var id = field(answer.body(), "id");
        System.out.println("job " + id + (answer.statusCode() == 202 ? " accepted" : " joined: it has the same target"));

        var shown = "";
        var pause = 0;
        while (true) {
            var job = answer.body();
            if (!describe(job).equals(shown)) {
                shown = describe(job);
                System.out.println(shown);
            }
            var state = field(job, "state");
            if (!state.equals("queued") && !state.equals("running")) {
                System.exit(state.equals("succeeded") ? 0 : 1);
            }
            Thread.sleep(pause * 1000L);
            // The answer comes when the job is over, or when Retry-After says that something else may have changed.
            var wait = retryAfter(answer);
            answer = call(request("/v1/jobs/" + id).header("Prefer", "wait=" + wait).GET());
            // A gateway that is too busy to hold the answer back gives it at once: wait here instead.
            pause = answer.headers().firstValue("Preference-Applied").isPresent() ? 1 : wait;
        }
    }

    /** Sends a request again until it is answered, so that a restart of the gateway does no harm. */
    static HttpResponse<String> call(HttpRequest.Builder builder) throws InterruptedException {
        var request = builder.timeout(Duration.ofMinutes(1)).build();
        var giveUpAt = Instant.now().plus(PATIENCE);
        while (true) {
            var pause = 2;
            String trouble;
            try {
                var answer = CLIENT.send(request, BodyHandlers.ofString());
                // 503 is from the gateway, and so is 429 if there are too many requests; 504 may be, or from a proxy like 502.
                if (!Set.of(429, 502, 503, 504).contains(answer.statusCode())) {
                    return accepted(answer);
                }
                trouble = "status " + answer.statusCode();
                pause = retryAfter(answer);
            } catch (IOException error) {
                trouble = error.toString();
            }
            if (Instant.now().isAfter(giveUpAt)) {
                fail(3, "no answer from " + SERVER + ": " + trouble);
            }
            System.err.println("trying again in " + pause + " s: " + trouble);
            Thread.sleep(pause * 1000L);
        }
    }

    /** Ends the program if the request was refused. */
    static HttpResponse<String> accepted(HttpResponse<String> answer) {
        if (answer.statusCode() >= 300) {
            var problem = answer.body();
            fail(2, answer.headers().firstValue("Content-Type").orElse("").contains("problem+json")
                    ? field(problem, "title") + ": " + field(problem, "detail") + " (" + field(problem, "code") + ")"
                    : "not an answer of scalegate: status " + answer.statusCode() + " from " + answer.uri());
        }
        return answer;
    }

    static HttpRequest.Builder request(String path) {
        var builder = HttpRequest.newBuilder(URI.create(SERVER.replaceAll("/+$", "") + path));
        return KEY.isEmpty() ? builder : builder.header("Authorization", "Bearer " + KEY);
    }

    static int retryAfter(HttpResponse<?> answer) {
        return answer.headers().firstValue("Retry-After").filter(value -> value.matches("\\d{1,6}"))
                .map(Integer::parseInt).orElse(2);
    }

    static String describe(String job) {
        var line = field(job, "state") + ": " + field(job, "resource") + " to " + field(job, "targetCapacity");
        var current = field(job, "currentCapacity");
        if (!current.equals("null")) { // not known before the first reading
            line += ", now " + current;
        }
        var waiting = object(job, "waitingFor");
        if (waiting != null) {
            line += "; " + field(waiting, "reason") + ": " + field(waiting, "detail");
        }
        var error = object(job, "error");
        if (error != null) {
            line += "; " + field(error, "code") + ": " + field(error, "message");
        }
        return line;
    }

    /**
     * The first field of this name, with a string, a number or null. The gateway writes a job's own fields before those of
     * its steps and labels. Escapes in a string are left as they are.
     */
    static String field(String json, String name) {
        var found = Pattern.compile("\"" + name + "\"\\s*:\\s*(?:\"((?:[^\"\\\\]|\\\\.)*)\"|([^\\s,}]+))").matcher(json);
        if (!found.find()) {
            fail(2, "not an answer of scalegate: no " + name + " in " + json);
        }
        return found.group(1) != null ? found.group(1) : found.group(2);
    }

    /** What follows the beginning of the first object of this name; null if there is none, or null in its place. */
    static String object(String json, String name) {
        var found = Pattern.compile("\"" + name + "\"\\s*:\\s*\\{").matcher(json);
        return found.find() ? json.substring(found.end()) : null;
    }

    static void fail(int exitCode, String message) {
        System.err.println(message);
        System.exit(exitCode);
    }
}
