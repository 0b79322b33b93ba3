use super::*;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
};
use tempfile::TempDir;

fn issue(algorithm: &'static SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let params = CertificateParams::new(vec!["gate.test".into()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn load(cert: &str, key: &str) -> Result<Pair, PairError> {
    let dir = TempDir::new().expect("a directory");
    let files = TlsFiles { cert: dir.path().join("cert"), key: dir.path().join("key") };
    std::fs::write(&files.cert, cert).expect("written");
    std::fs::write(&files.key, key).expect("written");
    Pair::load(&files)
}

#[test]
fn kinds_of_keys() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let (cert, key) = issue(algorithm);
        assert!(load(&cert, &key).is_ok(), "{algorithm:?}");
        let (_, other) = issue(algorithm);
        assert!(matches!(load(&cert, &other), Err(PairError::Mismatch { .. })), "{algorithm:?}");
    }
}

/// As programs write them: the whole chain, text in between, both in one file, line breaks of either kind.
#[test]
fn shapes_of_files() {
    let (cert, key) = issue(&PKCS_ECDSA_P256_SHA256);
    let (other, _) = issue(&PKCS_ECDSA_P256_SHA256);
    let chain = format!("Subject: CN = gate\n{cert}\n\n# the authority\n{other}");
    assert_eq!(load(&chain, &key).ok().map(|pair| pair.certified.cert.len()), Some(2));
    let both = format!("{key}{cert}");
    assert!(load(&both, &both).is_ok());
    assert!(load(&cert.replace('\n', "\r\n"), &key.replace('\n', "\r\n")).is_ok());
    assert!(load(cert.trim_end(), key.trim_end()).is_ok());
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert!(load(&cert, &format!("{parameters}{key}")).is_ok());
    let turned = format!("{other}{cert}");
    assert!(matches!(load(&turned, &key), Err(PairError::Mismatch { .. })), "the gateway's own comes first");
}

/// Wherever a file ends because the rest of it is not written yet, the pair is refused. Only a chain that ends between two
/// certificates looks whole.
#[test]
fn half_of_a_file() {
    let (cert, key) = issue(&PKCS_ECDSA_P256_SHA256);
    for length in 0..cert.trim_end().len() {
        assert!(load(&cert[..length], &key).is_err(), "{length} bytes of the certificate");
    }
    for length in 0..key.trim_end().len() {
        assert!(load(&cert, &key[..length]).is_err(), "{length} bytes of the key");
    }
}
