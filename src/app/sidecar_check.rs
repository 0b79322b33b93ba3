//! Asks the sidecar once after the start, so that the operator hears of a wrong address before the first job does.
//!
//! It must never delay the start or decide anything: jobs are accepted without a sidecar, and wait for it.

use serde_json::Value;

use crate::domain::{Alias, Origin, ReadFailure};
use crate::sidecar::{HttpSidecar, REQUEST_TIMEOUT, Sidecar as _};

/// Asks the sidecar at `url` for a resource, or whether anything answers there at all, and logs a warning if it is not there.
/// Must be called within an actix runtime.
pub(super) async fn check(url: String, listed: Option<Alias>) {
    let sidecar = HttpSidecar::new(url.as_str(), REQUEST_TIMEOUT);
    let failed = match &listed {
        Some(resource) => sidecar.read(resource, &Origin::default()).await.err(),
        None => sidecar.knock().await.err().map(|detail| ReadFailure { not_found: false, detail, answer: None }),
    };
    if let Some(warning) = failed.and_then(|failure| warning(&url, &failure)) {
        tracing::warn!("{warning}");
    }
}

/// What to tell the operator. Nothing of a sidecar that is there: what it says of a resource is told where it matters.
fn warning(url: &str, failure: &ReadFailure) -> Option<String> {
    let Some(answer) = &failure.answer else {
        let listen = url.split_once("://").map_or(url, |(_, address)| address).trim_end_matches('/');
        return Some(format!(
            "no sidecar answers at {url}: {}; jobs are accepted and wait for it; --sidecar-url says where it is, and without a platform \
             `scalegate simulate --listen {listen}` stands in for it",
            failure.detail
        ));
    };
    // The platform's errors are objects.
    let is_of_sidecar = serde_json::from_str::<Value>(&answer.body).is_ok_and(|body| body.is_object());
    (answer.status == 404 && !is_of_sidecar).then(|| {
        format!("another server than the sidecar answers at {url}: it knows no resources (404); --sidecar-url says where the sidecar is")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SidecarAnswer;

    const URL: &str = "http://127.0.0.1:49750";

    fn said(status: u16, body: &str) -> Option<String> {
        let answer = Some(SidecarAnswer { status, body: body.to_owned() });
        warning(URL, &ReadFailure { not_found: status == 404, detail: "x".to_owned(), answer })
    }

    #[test]
    fn a_sidecar_that_is_not_there_is_told_with_what_to_do() {
        let failure =
            ReadFailure { not_found: false, detail: "cannot connect to the sidecar".to_owned(), answer: None };
        let told = warning(URL, &failure).unwrap_or_default();
        for words in [URL, "cannot connect", "--sidecar-url", "`scalegate simulate --listen 127.0.0.1:49750`"] {
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn another_server_is_told_from_a_sidecar_without_the_resource() {
        assert_eq!(said(404, r#"{"name":"not_found","message":"no such resource"}"#), None);
        assert_eq!(said(500, "<html>"), None);
        for body in ["<html>404</html>", "", "\"not found\""] {
            let told = said(404, body).unwrap_or_default();
            assert!(told.contains("another server than the sidecar answers at http://127.0.0.1:49750"), "{told}");
        }
    }
}
