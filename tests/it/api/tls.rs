//! HTTPS with the real binary: certificates that are replaced, wrong, or half there, and clients that do not speak TLS.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, PATIENCE, Raw, Response, read_answer, run_to_its_end, serve};
use crate::support::sidecar::Sidecar;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long the gateway waits for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may happen to what looks unchanged: a change that hid behind another one is found after two
/// seconds.
const SECOND_LOOK: Duration = Duration::from_millis(2100);

// ---- an authority, certificates, and clients that know it ------------------------------------------------------

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

/// A certificate and its key.
struct Issued {
    der: CertificateDer<'static>,
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("an authority");
        Self { issuer: Issuer::new(params, key), roots }
    }

    fn issue(&self) -> Issued {
        self.issue_as(|_| {})
    }

    fn issue_as(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(vec!["gate.localhost".into()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { der: certificate.der().clone(), cert: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts only this authority. It would resume sessions.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("known versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

/// A gateway with HTTPS, its files, and a client.
struct Scene {
    gateway: Gateway,
    authority: Authority,
    client: TlsConnector,
    files: Files,
    /// What is on the disk at first.
    first: Issued,
    sidecar: Sidecar,
    _dir: TempDir,
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn within(dir: &Path) -> Self {
        Self { cert: dir.join("tls.crt"), key: dir.join("tls.key") }
    }

    /// Writes both in place, one after the other.
    fn write(&self, issued: &Issued) {
        fs::write(&self.cert, &issued.cert).expect("written");
        self.write_key(&issued.key);
    }

    fn write_key(&self, key: &str) {
        fs::write(&self.key, key).expect("written");
        fs::set_permissions(&self.key, fs::Permissions::from_mode(0o600)).expect("its own");
    }

    fn args(&self) -> [&str; 4] {
        ["--tls-cert", self.cert.to_str().expect("text"), "--tls-key", self.key.to_str().expect("text")]
    }
}

impl Scene {
    fn start() -> Self {
        Self::start_with(|dir, first| {
            let files = Files::within(dir);
            files.write(first);
            files
        })
    }

    fn start_with(prepare: impl FnOnce(&Path, &Issued) -> Files) -> Self {
        Self::start_as(prepare, |command| command)
    }

    fn start_as(prepare: impl FnOnce(&Path, &Issued) -> Files, wrap: impl FnOnce(Command) -> Command) -> Self {
        let (authority, dir) = (Authority::new(), TempDir::new().expect("a directory"));
        let (first, sidecar) = (authority.issue(), Sidecar::start(scalegate::sim::sidecar::Behaviour::default()));
        let files = prepare(dir.path(), &first);
        let gateway = Gateway::start_with(wrap(serve(&dir.path().join("data"), sidecar.address(), &files.args())));
        let client = authority.client(&[&version::TLS13]);
        Self { gateway, authority, client, files, first, sidecar, _dir: dir }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        self.try_connect(&self.client).await.expect("a handshake")
    }

    async fn try_connect(&self, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("gate.localhost").expect("a name");
        let shaken = client.connect(name, self.gateway.connect().await);
        tokio::time::timeout(PATIENCE, shaken).await.expect("a handshake in time")
    }

    /// Whether a new connection is shown this certificate.
    async fn shows(&self, issued: &Issued) -> bool {
        let stream = self.connect().await;
        let (_, connection) = stream.get_ref();
        connection.peer_certificates().expect("a certificate")[0] == issued.der
    }

    /// What the gateway says from now on about its certificate, up to a line that has `last` in it.
    async fn said_until(&self, last: &str) -> Vec<Value> {
        let (begin, mut said) = (Instant::now(), Vec::new());
        loop {
            for line in self.gateway.log() {
                let is_last = text(&line).contains(last);
                said.extend(line["cert"].is_string().then(|| line.clone()));
                if is_last {
                    return said;
                }
            }
            assert!(begin.elapsed() < PATIENCE, "it does not say {last:?}: {said:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A request over a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &Raw) -> Response {
    stream.write_all(&request.head()).await.expect("sent");
    read_answer(stream, true).await
}

fn text(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

fn warnings(log: &[Value]) -> Vec<&str> {
    log.iter().filter(|line| line["level"] == "WARN" || line["level"] == "ERROR").map(text).collect()
}

// ---- serving ---------------------------------------------------------------------------------------------------

#[actix_web::test]
async fn a_client_that_knows_the_authority_is_served() {
    let scene = Scene::start();
    for version in [&version::TLS12, &version::TLS13] {
        let client = scene.authority.client(&[version]);
        // Again, since a client would resume its session if it could.
        for _ in 0..3 {
            let mut stream = scene.try_connect(&client).await.expect("a handshake");
            assert_eq!(ask(&mut stream, &Raw::get("/readyz")).await.status, 200);
            let (_, connection) = stream.get_ref();
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]), "of h2 and http/1.1");
            assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
            assert_eq!(connection.peer_certificates().expect("a certificate")[0], scene.first.der);
        }
    }
    let stranger = Authority::new().client(&[&version::TLS13]);
    let refused = scene.try_connect(&stranger).await.expect_err("no authority it knows has signed this");
    assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");

    let ready = scene.gateway.starting.last().expect("a line");
    assert!(text(ready).contains("is ready") && ready["scheme"] == "https", "{ready}");
    assert_eq!(warnings(&scene.gateway.starting), [""; 0]);
    assert_eq!(warnings(&scene.gateway.log()), [""; 0], "strangers are none of its business");
}

/// A client that holds back its request until the end of the handshake is acknowledged need not wait for that, which
/// takes 40 ms if nothing is done about it.
#[actix_web::test]
async fn the_first_request_does_not_wait() {
    let scene = Scene::start();
    let mut fastest = PATIENCE;
    for _ in 0..10 {
        let begin = Instant::now();
        let mut stream = scene.connect().await;
        assert!(!stream.get_ref().0.nodelay().expect("an option"), "it holds back");
        assert_eq!(ask(&mut stream, &Raw::get("/livez")).await.status, 200);
        fastest = fastest.min(begin.elapsed());
    }
    assert!(fastest < Duration::from_millis(30), "{fastest:?}");
}

/// What is said at the start is what the operator has to know.
#[actix_web::test]
async fn the_log_tells_of_the_certificate() {
    let authority = Authority::new();
    let valid = |from, until| {
        authority.issue_as(|params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
        })
    };
    for (issued, mode, warned) in [
        (valid(2001, 2999), 0o600, None),
        (valid(2001, 2999), 0o640, Some("the private key is not for its owner alone")),
        (valid(2998, 2999), 0o400, Some("the certificate is not valid yet: clients refuse it")),
        (valid(2001, 2002), 0o400, Some("the certificate in use has expired: clients refuse it")),
    ] {
        let scene = Scene::start_with(|dir, _| {
            let files = Files::within(dir);
            files.write(&issued);
            fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).expect("another mode");
            files
        });
        let told = scene.gateway.starting.iter().find(|line| text(line).contains("with this certificate"));
        let until = told.expect("a line")["valid_until"].as_str().expect("a date").to_owned();
        assert!(until == "2999-01-01T00:00:00.000Z" || until == "2002-01-01T00:00:00.000Z", "{until}");
        assert_eq!(warnings(&scene.gateway.starting), warned.into_iter().collect::<Vec<_>>(), "{mode:o}");
        // Not at each connection.
        for _ in 0..3 {
            let _ = scene.try_connect(&scene.client).await;
        }
        assert_eq!(warnings(&scene.gateway.log()), [""; 0]);
    }
}

// ---- another certificate ---------------------------------------------------------------------------------------

#[actix_web::test]
async fn a_certificate_is_replaced_under_connections_that_go_on() {
    let scene = Scene::start();
    let mut kept = scene.connect().await;
    assert_eq!(ask(&mut kept, &Raw::get("/livez")).await.status, 200);
    let mut events = scene.connect().await;
    events.write_all(&Raw::get("/v1/events").head()).await.expect("sent");
    read_until(&mut events, "event: ready").await;

    let second = scene.authority.issue();
    scene.files.write(&second);
    assert!(scene.shows(&second).await);
    assert!(scene.shows(&second).await);
    let said = scene.said_until("new certificate").await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0]["level"] == "INFO" && said[0]["cert"] == scene.files.cert.to_str().expect("text"), "{said:#?}");

    let job = json!({"resource": "worker", "targetCapacity": 3}).to_string();
    let submit = Raw::post("/v1/jobs", job.clone());
    kept.write_all(&[submit.head(), job.into_bytes()].concat()).await.expect("sent");
    assert_eq!(read_answer(&mut kept, true).await.status, 202, "over the old connection");
    read_until(&mut events, "\"resource\":\"worker\"").await;

    // Nothing more is said when the files are read a second time, nor when they are only touched.
    tokio::time::sleep(SECOND_LOOK).await;
    assert!(scene.shows(&second).await);
    scene.files.write(&second);
    assert!(scene.shows(&second).await);
    let third = scene.authority.issue();
    scene.files.write(&third);
    assert!(scene.shows(&third).await);
    let said = scene.said_until("new certificate").await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(scene.sidecar.capacity() >= 1);
}

async fn read_until(stream: &mut TlsStream<TcpStream>, wanted: &str) {
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&received).contains(wanted) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await.expect("something in time");
        let count = read.expect("the stream goes on");
        assert!(count > 0, "it ends: {}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&chunk[..count]);
    }
}

/// As a volume with a secret is replaced: both files are links through `..data`, which becomes another link in one
/// step.
#[actix_web::test]
async fn a_link_to_a_directory_is_replaced() {
    let scene = Scene::start_with(|dir, first| {
        let mounted = dir.join("mounted");
        fs::create_dir(&mounted).expect("a directory");
        publish(&mounted, "..1", first);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), mounted.join(name)).expect("a link");
        }
        Files::within(&mounted)
    });
    assert!(scene.shows(&scene.first).await);
    let mounted = scene.files.cert.parent().expect("a directory").to_owned();
    let mut shown = Vec::new();
    for version in ["..2", "..3"] {
        let next = scene.authority.issue();
        publish(&mounted, version, &next);
        shown.push((scene.shows(&next).await, scene.said_until("new certificate").await.len()));
    }
    assert_eq!(shown, [(true, 1); 2]);
}

/// Puts `issued` into a directory of its own, and makes `..data` point there.
fn publish(mounted: &Path, version: &str, issued: &Issued) {
    fs::create_dir(mounted.join(version)).expect("a directory");
    Files::within(&mounted.join(version)).write(issued);
    // The clock with which a file system marks changes may stand still in between, and the sizes can be the same.
    symlink(version, mounted.join("..data_tmp")).expect("a link");
    fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).expect("replaced");
}

/// By renaming files over the old ones, with the time of the old ones, as programs do that keep times.
#[actix_web::test]
async fn files_of_the_same_age_replace_the_old_ones() {
    let scene = Scene::start();
    let next = scene.authority.issue();
    let aside = Files { cert: scene.files.cert.with_extension("new"), key: scene.files.key.with_extension("new.key") };
    aside.write(&next);
    for (from, to) in [(&aside.cert, &scene.files.cert), (&aside.key, &scene.files.key)] {
        let modified = fs::metadata(to).expect("there").modified().expect("a time");
        fs::File::open(from).expect("there").set_modified(modified).expect("set");
        fs::rename(from, to).expect("replaced");
    }
    assert!(scene.shows(&next).await);
}

// ---- wrong ones ------------------------------------------------------------------------------------------------

#[actix_web::test]
async fn a_wrong_pair_leaves_the_old_one_in_use_and_is_told_of_once() {
    let scene = Scene::start();
    let (other, third) = (scene.authority.issue(), scene.authority.issue());
    let half = &other.key[..other.key.len() / 2];
    let cases: [(&str, &str, &str); 5] = [
        (&other.cert, &scene.first.key, "does not belong to"),
        (&other.cert, half, "ends in the middle of a section"),
        (&other.cert[..300], &other.key, "ends in the middle of a section"),
        ("", &other.key, "there is no certificate in"),
        (&other.cert, "", "there is no private key in"),
    ];
    for (number, (cert, key, words)) in cases.into_iter().enumerate() {
        fs::write(&scene.files.cert, cert).expect("written");
        scene.files.write_key(key);
        // Many at once, and a second look at what looks the same.
        for pause in [Duration::ZERO, SECOND_LOOK] {
            tokio::time::sleep(pause).await;
            let shown = futures_util::future::join_all((0..50).map(|_| scene.shows(&scene.first))).await;
            assert!(shown.iter().all(|shown| *shown), "{words}");
        }
        assert!(scene.shows(&scene.first).await, "{words}");
        // Every other time, it is the old pair that comes back.
        let good = if number % 2 == 0 { &scene.first } else { &third };
        scene.files.write(good);
        assert!(scene.shows(good).await);
        let said = scene.said_until(if number % 2 == 0 { "in order again" } else { "new certificate" }).await;
        let warned = warnings(&said);
        assert!(warned.len() == 1 && warned[0].contains(words), "{words}: {said:#?}");
        assert!(said.iter().all(|line| line["level"] != "ERROR"), "{said:#?}");
        scene.files.write(&scene.first);
        assert!(scene.shows(&scene.first).await);
        let _ = scene.gateway.log();
    }
}

#[actix_web::test]
async fn files_may_be_gone_for_a_while() {
    let scene = Scene::start();
    let next = scene.authority.issue();
    fs::remove_file(&scene.files.cert).expect("removed");
    fs::remove_file(&scene.files.key).expect("removed");
    for _ in 0..3 {
        assert!(scene.shows(&scene.first).await);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    assert!(scene.shows(&scene.first).await);
    fs::write(&scene.files.cert, &next.cert).expect("written");
    assert!(scene.shows(&scene.first).await);
    scene.files.write_key(&next.key);
    assert!(scene.shows(&next).await);
    let said = scene.said_until("new certificate").await;
    let warned = warnings(&said);
    assert_eq!(warned.len(), 2, "{warned:#?}");
    for (warned, file) in warned.iter().zip(["tls.crt", "tls.key"]) {
        assert!(warned.contains("cannot read") && warned.contains(file), "{warned}");
    }
}

/// What is wrong, the certificate, its key, and the words for it.
type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'a [&'a str]);

/// Everything that can be wrong at the start, with the exit code and the words for it. Nothing of a key is told.
#[actix_web::test]
async fn wrong_starts() {
    let (authority, dir) = (Authority::new(), TempDir::new().expect("a directory"));
    let (good, other) = (authority.issue(), authority.issue());
    let files = Files::within(dir.path());
    let glued = good.key.replacen("-----\n", "", 1);
    let broken = good.key.replacen('\n', "\n*", 2);
    let marked = good.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let cases: [Case; 14] = [
        ("mismatch", good.cert.as_bytes(), other.key.as_bytes(), &["does not belong to the first certificate in"]),
        ("swapped", good.key.as_bytes(), good.cert.as_bytes(), &["there is no certificate in", "tls.crt"]),
        ("no key", good.cert.as_bytes(), good.cert.as_bytes(), &["there is no private key in", "tls.key"]),
        ("empty", b"", good.key.as_bytes(), &["there is no certificate in", "tls.crt"]),
        ("half a certificate", &good.cert.as_bytes()[..200], good.key.as_bytes(), &["tls.crt", "middle of a section"]),
        ("half a key", good.cert.as_bytes(), &good.key.as_bytes()[..150], &["tls.key", "middle of a section"]),
        ("a key without a line break", good.cert.as_bytes(), glued.as_bytes(), &["tls.key", "a line with -----BEGIN"]),
        ("a key with a typing error", good.cert.as_bytes(), broken.as_bytes(), &["tls.key", "not Base64"]),
        ("an encrypted key", good.cert.as_bytes(), marked.as_bytes(), &["tls.key", "is encrypted"]),
        ("a senseless key", good.cert.as_bytes(), SENSELESS_KEY, &["tls.key", "RSA of 2048"]),
        ("a senseless certificate", SENSELESS_CERT, good.key.as_bytes(), &["tls.crt", "cannot be used", "BadEncoding"]),
        ("DER", &good.der, good.key.as_bytes(), &["there is no certificate in", "-----BEGIN CERTIFICATE-----"]),
        ("an endless file", &[b'\n'; (1 << 20) + 1], good.key.as_bytes(), &["tls.crt", "too large"]),
        ("binary nonsense", good.cert.as_bytes(), &[0xff; 1000], &["there is no private key in", "tls.key"]),
    ];
    for (name, cert, key, words) in cases {
        fs::write(&files.cert, cert).expect("written");
        fs::write(&files.key, key).expect("written");
        assert_refused(name, &files, words, &good.key);
    }
    fs::remove_file(&files.key).expect("removed");
    fs::write(&files.cert, &good.cert).expect("written");
    assert_refused("no file", &files, &["cannot read", "tls.key", "No such file"], &good.key);
    fs::create_dir(&files.key).expect("a directory");
    assert_refused("a directory", &files, &["tls.key", "is not a file"], &good.key);
    fs::remove_dir(&files.key).expect("removed");
    assert!(Command::new("mkfifo").arg(&files.key).status().expect("mkfifo runs").success());
    assert_refused("a pipe without a writer", &files, &["tls.key", "is not a file"], &good.key);
    assert!(!dir.path().join("data").exists(), "nothing was touched");
}

const SENSELESS_KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
const SENSELESS_CERT: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

#[track_caller]
fn assert_refused(name: &str, files: &Files, words: &[&str], secret: &str) {
    let data_dir = files.cert.with_file_name("data");
    let no_sidecar = "127.0.0.1:1".parse().expect("an address");
    let output = run_to_its_end(&mut serve(&data_dir, no_sidecar, &files.args()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{name}: {said}");
    assert!(said.contains("did not start") && said.contains("cannot serve HTTPS"), "{name}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{name}: {words:?} in {said}");
    let lines: Vec<&str> = secret.lines().filter(|line| !line.starts_with('-')).collect();
    // As text, or as numbers, which is what the parser's own words have.
    let shapes = lines.iter().flat_map(|line| [line[..20].to_owned(), format!("{:?}", &line.as_bytes()[..20])]);
    for shape in shapes {
        assert!(!said.contains(shape.trim_matches(['[', ']'])), "{name} tells the key: {said}");
    }
}

// ---- clients that do not do what they should -------------------------------------------------------------------

#[actix_web::test]
async fn a_client_that_speaks_http_is_told() {
    let scene = Scene::start();
    let body = json!({"resource": "worker", "targetCapacity": 3}).to_string();
    for request in [Raw::get("/readyz"), Raw::post("/v1/jobs", body), Raw::new("PRI", "*")] {
        let answer = scene.gateway.raw(&request).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("speaks HTTPS only"), "{}", answer.text());
    }
    let mut stream = scene.connect().await;
    let jobs = ask(&mut stream, &Raw::get("/v1/jobs")).await.json();
    assert_eq!(jobs["jobs"], json!([]), "nothing was accepted");
    assert_eq!(warnings(&scene.gateway.log()), [""; 0]);
}

#[actix_web::test]
async fn garbage_ends_the_connection() {
    let scene = Scene::start();
    let garbage: [&[u8]; 6] = [
        b"\0",
        &[0xff; 100_000],
        b"get / http/1.1\r\n\r\n",
        &[22, 3, 1, 0xff, 0xff, 1, 2, 3],
        &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0],
        &[21, 3, 3, 0, 2, 2, 40],
    ];
    for bytes in garbage {
        let mut stream = scene.gateway.connect().await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        // What is left unread may reset the connection.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
        assert!(answer.len() <= 7, "an alert at the most: {answer:?}");
    }
    assert!(scene.shows(&scene.first).await);
    assert_eq!(warnings(&scene.gateway.log()), [""; 0]);
}

/// A client that does not finish a handshake is dropped; meanwhile others are served, and the gateway can stop.
#[actix_web::test]
async fn handshakes_that_never_end() {
    let mut scene = Scene::start();
    let begin = Instant::now();
    let mut silent = Vec::new();
    // More than the HTTP library would let in while their handshakes are pending.
    for number in 0..600 {
        let mut stream = scene.gateway.connect().await;
        if number % 2 == 0 {
            // A record that announces more than comes.
            stream.write_all(&[22, 3, 1, 1, 0, 1, 0]).await.expect("sent");
        }
        silent.push(stream);
    }
    let asked = Instant::now();
    assert!(scene.shows(&scene.first).await);
    assert!(asked.elapsed() < HANDSHAKE_TIMEOUT / 2, "others are served: {:?}", asked.elapsed());
    for mut stream in silent {
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is dropped");
        assert!(begin.elapsed() >= HANDSHAKE_TIMEOUT - Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    assert!(begin.elapsed() < HANDSHAKE_TIMEOUT * 2, "{:?}", begin.elapsed());
    assert_eq!(warnings(&scene.gateway.log()), [""; 0]);

    let _pending = scene.gateway.connect().await;
    let mut kept = scene.connect().await;
    assert_eq!(ask(&mut kept, &Raw::get("/livez")).await.status, 200);
    scene.gateway.signal("-TERM");
    let (code, took) = scene.gateway.wait();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

/// Connections without a handshake count, too.
#[actix_web::test]
async fn the_limit_of_connections_holds() {
    let scene = Scene::start_as(
        |dir, first| {
            let files = Files::within(dir);
            files.write(first);
            files
        },
        |command| {
            let mut limited = Command::new("prlimit");
            limited.arg("--nofile=200").arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => limited.env(name, value),
                    None => limited.env_remove(name),
                };
            }
            limited
        },
    );
    let others = open_files(&scene.gateway);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(scene.gateway.connect().await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let taken = open_files(&scene.gateway) - others;
    assert!((90..=110).contains(&taken), "{taken} of 300 connections, where 100 are allowed");
    // Files can be read as always, and who was not let in is let in when others were dropped.
    let next = scene.authority.issue();
    scene.files.write(&next);
    drop(silent.split_off(100));
    assert!(scene.shows(&next).await);
    assert_eq!(warnings(&scene.gateway.log()), [""; 0]);
}

fn open_files(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("Linux").count()
}
