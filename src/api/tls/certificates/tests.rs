use super::*;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

struct Scene {
    certificates: Certificates,
    begin: Instant,
    _dir: TempDir,
}

impl Scene {
    fn open() -> Self {
        let dir = TempDir::new().expect("a directory");
        let files = TlsFiles { cert: dir.path().join("cert"), key: dir.path().join("key") };
        renew(&files);
        let begin = Instant::now();
        let certificates = Certificates::open(files).expect("a pair");
        Self { certificates, begin, _dir: dir }
    }

    /// What is served `passed` after the start.
    fn served(&self, passed: Duration) -> Vec<u8> {
        self.certificates.follow(self.begin + passed);
        self.certificates.current().cert[0].to_vec()
    }

    /// Makes the files look as if they had been seen as they are.
    fn overlook(&self) {
        self.certificates.watch.lock().expect("no panic").seen = Stamps::of(&self.certificates.files);
    }
}

/// Puts another pair there: the certificate.
fn renew(files: &TlsFiles) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["gate.test".into()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(&files.cert, certificate.pem()).expect("written");
    std::fs::write(&files.key, key.serialize_pem()).expect("written");
    certificate.der().to_vec()
}

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_change_that_hid_behind_another_one_is_found() {
    let scene = Scene::open();
    let old = scene.served(Duration::ZERO);
    let hidden = renew(&scene.certificates.files);
    scene.overlook();
    assert_eq!(scene.served(SECOND_LOOK - MOMENT), old);
    assert_eq!(scene.served(SECOND_LOOK * 2), hidden, "behind the start");

    // A seen change, and one behind it.
    let seen = renew(&scene.certificates.files);
    assert_eq!(scene.served(SECOND_LOOK * 3), seen);
    let hidden = renew(&scene.certificates.files);
    scene.overlook();
    assert_eq!(scene.served(SECOND_LOOK * 4 - MOMENT), seen);
    assert_eq!(scene.served(SECOND_LOOK * 4 + MOMENT), hidden);

    // Later, nothing is read that looks unchanged.
    renew(&scene.certificates.files);
    scene.overlook();
    assert_eq!(scene.served(SECOND_LOOK * 100), hidden);
}

/// A file that cannot be read for a reason that is not its own is read again.
#[test]
fn what_cannot_be_read_is_tried_again() {
    let scene = Scene::open();
    let old = scene.served(SECOND_LOOK * 2);
    let files = &scene.certificates.files;
    std::fs::remove_file(&files.key).expect("removed");
    for looks in 3..6 {
        assert_eq!(scene.served(SECOND_LOOK * looks), old);
        assert!(scene.certificates.watch.lock().expect("no panic").again_at.is_some());
    }
    let new = renew(files);
    scene.overlook();
    assert_eq!(scene.served(SECOND_LOOK * 5 + MOMENT), old, "not at each connection");
    assert_eq!(scene.served(SECOND_LOOK * 6), new);
}

/// While one thread reads the files, others are served with what there is.
#[test]
fn no_connection_waits_for_a_thread_that_reads() {
    let scene = Scene::open();
    let old = scene.served(Duration::ZERO);
    let new = renew(&scene.certificates.files);
    let reading = scene.certificates.watch.lock().expect("no panic");
    assert_eq!(scene.served(Duration::ZERO), old);
    drop(reading);
    assert_eq!(scene.served(Duration::ZERO), new);
}

/// Whatever reading does to a thread, the others are served.
#[test]
fn a_panic_keeps_no_connection_from_being_served() {
    let scene = Scene::open();
    let panicked = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let _reading = scene.certificates.watch.lock().expect("no panic yet");
            panic!("on purpose");
        });
        reader.join().is_err()
    });
    assert!(panicked);
    let new = renew(&scene.certificates.files);
    assert_eq!(scene.served(Duration::ZERO), new);
}

#[test]
fn an_expiry_is_told_of_once() {
    let scene = Scene::open();
    let mut watch = scene.certificates.watch.lock().expect("no panic");
    watch.tell_expiry(&scene.certificates.files);
    assert!(watch.expires.is_some(), "it has not expired");
    watch.expires = Some(wall_now() - MOMENT);
    watch.tell_expiry(&scene.certificates.files);
    assert_eq!(watch.expires, None);
}
