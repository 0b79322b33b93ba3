//! `scalegate healthcheck`: is the gateway alive and ready? For container health checks, which have no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::client::{Client, Failure, ServerArgs, ServerUrl, Trust};
use super::exit::Exit;
use super::output::Output;
use crate::api::view::{Alive, Ready};
use crate::config::{Config, Given, parse_duration};

/// The environment variable that says where a gateway in the same container listens.
const LISTEN_VARIABLE: &str = "SCALEGATE_LISTEN";
/// The environment variable that says that it serves HTTPS.
const TLS_CERT_VARIABLE: &str = "SCALEGATE_TLS_CERT";

/// Ask a gateway whether it can do its work.
///
/// Exits with 0 if it can and with 1 if it cannot or does not answer, and says why in one line. Without --server, asks
/// the gateway that --listen or SCALEGATE_LISTEN describes, which in a container is the one beside it, and over https
/// if --tls-cert or SCALEGATE_TLS_CERT says that it has a certificate. Needs no API key, and sends none: a gateway that
/// wants keys says no more to it than whether it is ready, and a word on why not.
///
/// A gateway at a loopback address may show any certificate: it has one for the name that others call it by, and
/// nothing secret is sent. Any other one must have a certificate that is trusted, as --ca-file says.
#[derive(Clone, Debug, clap::Args)]
pub struct HealthcheckArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// Where the gateway listens, as its own option of that name; 0.0.0.0 means this machine
    #[arg(long, env = LISTEN_VARIABLE, value_name = "ADDR:PORT")]
    pub listen: Option<Given>,

    /// The gateway's certificate, as its own option of that name; the file is not read
    #[arg(long, env = TLS_CERT_VARIABLE, value_name = "FILE")]
    pub tls_cert: Option<Given>,

    /// Ask only whether the process is alive, not whether its store is usable and its engine runs
    #[arg(long)]
    pub live: bool,

    /// Longest wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// Runs the command. Must be called within an actix runtime. Ends with 0 or 1 only: Docker reserves the other codes.
pub async fn run(args: HealthcheckArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl HealthcheckArgs {
    async fn run(self, output: &mut Output) -> Exit {
        let failure = match self.in_time().await {
            Ok(healthy) => {
                output.line(healthy);
                return Exit::Done;
            }
            Err(failure) => failure.to_string(),
        };
        output.notice(format_args!("unhealthy: {}", failure.replace("\n  ", ": ").replace('\n', " ")));
        Exit::Failed
    }

    async fn in_time(&self) -> Result<String, Failure> {
        let server = self.address()?;
        let client = Client::connect(server.clone(), None, &self.trust(&server)?)?;
        let late = |_| Failure::NoAnswer { server, detail: format!("none within {} s", self.timeout.as_secs_f64()) };
        tokio::time::timeout(self.timeout, self.ask(&client)).await.map_err(late)?
    }

    async fn ask(&self, client: &Client) -> Result<String, Failure> {
        if self.live {
            let alive: Alive = client.look_at("/livez").await?;
            return Ok(alive.status);
        }
        let ready: Ready = client.look_at("/readyz").await?;
        // A gateway that wants a key says no more to those who have none.
        let jobs = ready.unfinished_jobs.map(|number| format!("unfinished jobs: {number}"));
        let sidecar = ready.sidecar.map(|sidecar| match sidecar.reachable {
            Some(true) => "the sidecar answers".to_owned(),
            Some(false) => "the sidecar did not answer last time".to_owned(),
            None => "the sidecar was not needed yet".to_owned(),
        });
        let details: Vec<String> = jobs.into_iter().chain(sidecar).collect();
        Ok(if details.is_empty() { ready.status } else { format!("{}: {}", ready.status, details.join("; ")) })
    }

    /// Which certificates the gateway at `server` may show.
    fn trust(&self, server: &ServerUrl) -> Result<Trust, Failure> {
        if server.is_loopback() { Ok(Trust::Any) } else { self.server.trust() }
    }

    fn address(&self) -> Result<ServerUrl, Failure> {
        if let Some(server) = self.server.given()? {
            return Ok(server);
        }
        let default = Given::by_flag(Config::default().listen.to_string());
        let given = self.listen.as_ref().filter(|given| given.is_set()).unwrap_or(&default);
        let source = if given.by_environment { LISTEN_VARIABLE } else { "--listen" };
        let text = given.text.to_string_lossy();
        let refuse = |why: &str| Failure::Usage(format!("{source}: {text:?} {why}"));
        let listen: SocketAddr =
            text.parse().map_err(|_| refuse("is not an address and a port, such as 0.0.0.0:8080"))?;
        if listen.port() == 0 {
            return Err(refuse("does not say which port the gateway took; use --server"));
        }
        let address = reachable(listen);
        let url = match (self.serves_https(), address) {
            (false, address) => format!("http://{address}"),
            // The HTTP client cannot take a numeric IPv6 address for a name in a certificate.
            (true, SocketAddr::V6(address)) if address.ip().is_loopback() => {
                format!("https://localhost:{}", address.port())
            }
            (true, address) => format!("https://{address}"),
        };
        url.parse().map_err(|why| refuse(&format!("{why}")))
    }

    fn serves_https(&self) -> bool {
        self.tls_cert.as_ref().is_some_and(|given| !given.text.is_empty())
    }
}

/// Where something that listens at `listen` can be reached from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests;
