//! HTTPS: whose certificates are accepted, and in which words others are refused.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use scalegate::domain::policy::Missing;
use scalegate::sources::Puller;
use tokio_rustls::TlsAcceptor;

use super::server::{End, Server};
use super::{TIMEOUT, answer, http, observe_with, secrets};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new([]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

fn trusting(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    roots
}

fn acceptor(authority: &Authority, name: &str, has_expired: bool) -> TlsAcceptor {
    let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
    if has_expired {
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("TLS").with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

#[actix_web::test]
async fn a_certificate_is_accepted_only_of_a_trusted_authority_for_the_name_and_in_time() {
    let (ours, theirs) = (authority(), authority());
    let bytes = answer("200 OK", "", "{\"a\":1}");
    let refused = |why: &str| Err(format!("its certificate is not accepted: {why}"));
    for (acceptor, roots, expected) in [
        (Some(acceptor(&ours, "localhost", false)), trusting(&ours), Ok(1.0)),
        (
            Some(acceptor(&theirs, "localhost", false)),
            trusting(&ours),
            refused("it is of an authority that this machine does not trust"),
        ),
        (Some(acceptor(&ours, "other.example", false)), trusting(&ours), refused("it is for another name")),
        (Some(acceptor(&ours, "localhost", true)), trusting(&ours), refused("it has expired")),
        (None, trusting(&ours), Err("it does not speak TLS".to_owned())),
        (
            Some(acceptor(&ours, "localhost", false)),
            RootCertStore::empty(),
            Err("this machine has no list of authorities to trust: install one, such as ca-certificates".to_owned()),
        ),
    ] {
        let server = Server::start_with(bytes.clone(), End::Close, acceptor).await;
        let url = format!("https://localhost:{}/", server.port());
        let puller = Puller::new(secrets()).waiting(TIMEOUT).trusting(roots);
        let (observation, _) = observe_with(puller, http(url, &[("Authorization", "token")])).await;
        let result = observation.result.map_err(|error| {
            assert_eq!(error.reason, Missing::SourceFailed);
            error.detail
        });
        assert_eq!(server.requests().len(), usize::from(expected.is_ok()), "the secret goes to no other server");
        assert_eq!(result, expected);
    }
}
