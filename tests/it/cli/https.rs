//! The client commands over HTTPS: whom they trust, whom they do not, and that they send nothing to those.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::gateway::{Gateway, PATIENCE, scalegate};
use crate::support::sidecar::Sidecar;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scalegate::sim::sidecar::Behaviour;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An authority, and the file with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &TempDir, name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let file = dir.path().join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).expect("written");
        Self { issuer, file }
    }

    /// What a server with a certificate for `name` serves with.
    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        serving(vec![certificate.der().clone()], &key)
    }
}

fn serving(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    serving_with(chain, PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
}

fn serving_with(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("TLS").with_no_client_auth();
    builder.with_single_cert(chain, key).expect("they belong together")
}

/// What ends TLS before a gateway, as a proxy does.
struct Front {
    address: SocketAddr,
    /// How many bytes came through to the gateway.
    received: Rc<AtomicUsize>,
}

impl Front {
    async fn open(config: ServerConfig, gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let received = Rc::new(AtomicUsize::new(0));
        let (acceptor, counted) = (TlsAcceptor::from(Arc::new(config)), Rc::clone(&received));
        tokio::task::spawn_local(async move {
            while let Ok((outside, _)) = listener.accept().await {
                tokio::task::spawn_local(forward(acceptor.clone(), outside, gateway, Rc::clone(&counted)));
            }
        });
        Self { address, received }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }
}

async fn forward(acceptor: TlsAcceptor, outside: TcpStream, gateway: SocketAddr, counted: Rc<AtomicUsize>) {
    let Ok(outside) = acceptor.accept(outside).await else { return };
    let Ok(mut inside) = TcpStream::connect(gateway).await else { return };
    let (mut from_outside, mut to_outside) = tokio::io::split(outside);
    let (mut from_inside, mut to_inside) = inside.split();
    let requests = async {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from_outside.read(&mut bytes).await {
            counted.fetch_add(length, Ordering::Relaxed);
            if to_inside.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        _ = tokio::io::copy(&mut from_inside, &mut to_outside) => {}
    }
    let _ = to_outside.shutdown().await;
}

/// What a command does. The front is in this process: it needs a thread that is not blocked.
async fn run(mut command: Command) -> (Option<i32>, String) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let ended = actix_web::web::block(move || child.wait_with_output());
    let output: Output =
        tokio::time::timeout(PATIENCE, ended).await.expect("in time").expect("a thread").expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

fn client(server: &str, arguments: &[&str]) -> Command {
    let mut command = scalegate();
    // No authority of the machine that the test runs on has a say.
    command.args(arguments).args(["--server", server]).env("SSL_CERT_FILE", "/nowhere").env_remove("SSL_CERT_DIR");
    command
}

fn key(gateway_data: &TempDir) -> String {
    let create = ["keys", "create", "x", "--scope", "scale", "--yes", "--data-dir"];
    let output = scalegate().args(create).arg(gateway_data.path()).output().expect("it ends");
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[actix_web::test]
async fn a_gateway_is_trusted_if_its_authority_is() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let sidecar = Sidecar::start(Behaviour { provisioning: Duration::from_millis(200), ..Behaviour::default() });
    let settings = ["--cooldown", "500ms", "--settle", "300ms", "--poll-interval", "100ms"];
    let gateway = Gateway::start(data.path(), sidecar.address(), &settings);
    let (authority, key) = (Authority::new(&dir, "ours"), key(&data));
    let front = Front::open(authority.server("localhost"), gateway.address).await;
    let url = front.url("localhost");
    let mut by_flag = client(&url, &["scale", "worker", "3", "--wait"]);
    by_flag.arg("--ca-file").arg(&authority.file).env("SCALEGATE_KEY", &key);
    let (code, said) = run(by_flag).await;
    assert_eq!((code, sidecar.capacity()), (Some(0), 3), "{said}");
    assert!(said.contains("succeeded: worker at capacity 3"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let mut by_environment = client(&url, &["jobs"]);
    by_environment.env("SCALEGATE_CA_FILE", &authority.file).env("SCALEGATE_KEY", &key);
    assert_eq!(run(by_environment).await.0, Some(0));
    let mut by_system = client(&url, &["jobs"]);
    by_system.env("SSL_CERT_FILE", &authority.file).env("SCALEGATE_KEY", &key);
    assert_eq!(run(by_system).await.0, Some(0));
}

/// As it is made for a gateway that only its own clients have to trust.
#[actix_web::test]
async fn a_certificate_can_be_its_own_authority() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(data.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names.clone()).expect("a certificate");
    let file = dir.path().join("cert.pem");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let front = Front::open(serving(vec![made.cert.der().clone()], &made.signing_key), gateway.address).await;
    for name in names {
        let mut command = client(&front.url(&name), &["jobs"]);
        command.arg("--ca-file").arg(&file);
        let (code, said) = run(command).await;
        assert_eq!(code, Some(0), "{said}");
    }
}

/// A certificate as everybody makes it, which says of itself that it is an authority's, in `cert.pem` below `dir`, and what a
/// server serves with it.
fn by_openssl(dir: &TempDir) -> (PathBuf, ServerConfig) {
    let [key, file] = ["key.pem", "cert.pem"].map(|name| dir.path().join(name));
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost".split(' '));
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    let made = openssl.arg("-keyout").arg(&key).arg("-out").arg(&file).output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&file).output().expect("it ends");
    assert!(String::from_utf8_lossy(&text.stdout).contains("CA:TRUE"), "an ordinary certificate would prove nothing");
    let chain = CertificateDer::pem_file_iter(&file).expect("readable").collect::<Result<_, _>>().expect("PEM");
    (file, serving_with(chain, PrivateKeyDer::from_pem_file(&key).expect("PEM")))
}

#[actix_web::test]
async fn a_certificate_made_by_openssl_is_trusted_if_it_is_itself_given() {
    let data = TempDir::new().expect("a directory");
    let gateway = Gateway::start(data.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    let [ours, theirs] = [(), ()].map(|()| TempDir::new().expect("a directory"));
    let ((file, ours), (other_file, _)) = (by_openssl(&ours), by_openssl(&theirs));
    let front = Front::open(ours, gateway.address).await;
    for host in ["localhost", "127.0.0.1"] {
        let mut command = client(&front.url(host), &["jobs"]);
        command.arg("--ca-file").arg(&file);
        let (code, said) = run(command).await;
        assert_eq!(code, Some(0), "{said}");
    }
    // The same names and dates, another certificate.
    let received = front.received();
    let mut command = client(&front.url("localhost"), &["jobs"]);
    command.arg("--ca-file").arg(&other_file);
    let (code, said) = run(command).await;
    assert_eq!((code, front.received()), (Some(5), received), "{said}");
    assert!(said.contains("give this very certificate by --ca-file"), "{said}");
}

#[actix_web::test]
async fn a_certificate_that_is_itself_given_must_be_in_date_and_for_the_name() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(data.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    for (name, from, until, words) in [
        ("localhost", 2000, 2001, "the gateway needs a new one"),
        ("localhost", 4000, 4001, "the gateway needs another one"),
        ("gate.example.com", 2000, 4000, "call the gateway by a name that its certificate has"),
    ] {
        let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        let file = dir.path().join("cert.pem");
        std::fs::write(&file, made.pem()).expect("written");
        let front = Front::open(serving(vec![made.der().clone()], &key), gateway.address).await;
        let mut command = client(&front.url("localhost"), &["jobs"]);
        command.arg("--ca-file").arg(&file);
        let (code, said) = run(command).await;
        assert_eq!((code, front.received()), (Some(5), 0), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[actix_web::test]
async fn who_is_not_trusted_is_sent_nothing() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(data.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    let [ours, theirs] = ["ours", "theirs"].map(|name| Authority::new(&dir, name));
    let key = key(&data);
    let stranger = Front::open(theirs.server("localhost"), gateway.address).await;
    let other_name = Front::open(ours.server("gate.example.com"), gateway.address).await;
    // A certificate of an authority and of a server at the same time, which is not the one in the file.
    let both = Front::open(serving(vec![theirs.issuer.der().clone()], theirs.issuer.key()), gateway.address).await;
    for (front, words) in [
        (&stranger, "UnknownIssuer: --ca-file says whose certificates to trust"),
        (&other_name, "call the gateway by a name that its certificate has"),
        (&both, "or make one with basicConstraints=CA:FALSE"),
    ] {
        let url = front.url("localhost");
        for arguments in [&["scale", "worker", "2"][..], &["jobs", "--watch"]] {
            let mut command = client(&url, arguments);
            command.arg("--ca-file").arg(&ours.file).env("SCALEGATE_KEY", &key);
            let (code, said) = run(command).await;
            assert_eq!(code, Some(5), "{said}");
            assert!(said.starts_with(&format!("scalegate: cannot trust the gateway at {url}: ")), "{said}");
            assert!(said.contains(words) && !said.contains("rying again"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        assert_eq!(front.received(), 0);
    }
    let (code, said) = run(client(&stranger.url("localhost"), &["jobs"])).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("has no list of authorities to trust") && said.contains("--ca-file"), "{said}");
    assert_eq!(stranger.received(), 0);
}

#[actix_web::test]
async fn a_health_check_takes_any_certificate_of_this_machine() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(data.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    let front = Front::open(Authority::new(&dir, "ours").server("gate.example.com"), gateway.address).await;
    for host in ["127.0.0.1", "localhost"] {
        let (code, said) = run(client(&front.url(host), &["healthcheck"])).await;
        assert_eq!(code, Some(0), "{said}");
    }
    // As in a container, where the gateway's own variables are set.
    let mut command = scalegate();
    command.arg("healthcheck").env("SCALEGATE_LISTEN", format!("0.0.0.0:{}", front.address.port()));
    command.env("SCALEGATE_TLS_CERT", "/tls/cert.pem");
    let (code, said) = run(command).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("ready: "), "{said}");
}

#[actix_web::test]
async fn a_wrong_scheme_is_said_to_be_one() {
    let (dir, data) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(data.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    let authority = Authority::new(&dir, "ours");
    let front = Front::open(authority.server("localhost"), gateway.address).await;
    let mut command = client(&format!("https://localhost:{}", gateway.address.port()), &["jobs"]);
    command.arg("--ca-file").arg(&authority.file);
    let (code, said) = run(command).await;
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("does not speak TLS; perhaps it is http://"), "{said}");
    let (code, said) = run(client(&format!("http://{}", front.address), &["jobs"])).await;
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("perhaps it is https://"), "{said}");
}

#[actix_web::test]
async fn files_without_authorities_are_refused() {
    let dir = TempDir::new().expect("a directory");
    let (empty, broken) = (dir.path().join("empty.pem"), dir.path().join("broken.pem"));
    std::fs::write(&empty, "").expect("written");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
    let nowhere = dir.path().join("none.pem");
    for (file, words) in [
        (empty.to_str().expect("plain"), "there is no certificate in PEM in "),
        (broken.to_str().expect("plain"), "cannot read "),
        (nowhere.to_str().expect("plain"), "cannot read "),
        ("", "must not be empty"),
    ] {
        let (code, said) = run(client("https://localhost:1", &["jobs", &format!("--ca-file={file}")])).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("scalegate: --ca-file: ") && said.contains(words), "{said}");
    }
}
