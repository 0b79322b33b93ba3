//! Swagger UI and the OpenAPI document.
//!
//! The library has the files and writes the settings into one of them; they are served like the panel's. Rejected: the
//! library's own service, because it copies a file of 1.4 MB for each answer, and asks browsers to load everything again
//! each time.

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes};
use utoipa_swagger_ui::Config;

use super::files::{Known, Served};
use super::openapi;
use super::problem::ApiError;

/// Where the document is.
pub(super) const DOCUMENT: &str = "/openapi.json";

/// The page, what it loads, and nothing else of what the library brings: source maps are twice as large as all the rest.
const FILES: [&str; 8] = [
    "index.html",
    "index.css",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];

static SERVED_FILES: LazyLock<Vec<(&str, Served)>> = LazyLock::new(|| {
    let config = Config::new([DOCUMENT])
        .try_it_out_enabled(true)
        .display_request_duration(true)
        .display_operation_id(false)
        // Without the bar that opens other documents, which a browser may not load.
        .use_base_layout()
        .default_models_expand_depth(0)
        .validator_url("none");
    let config = Arc::new(config);
    FILES.iter().filter_map(|name| Some((*name, served(name, Arc::clone(&config))?))).collect()
});

static SERVED_DOCUMENT: LazyLock<Served> =
    LazyLock::new(|| Served::new("application/json", None, Bytes::from_static(openapi::PUBLISHED.as_bytes())));

/// What the library's page begins with, and what stands there instead.
const BODY: &str = "<body>";
const BODY_WITH_WAY_BACK: &str = "<body>\n    <p style=\"margin: 0; padding: 12px 20px; font: 14px sans-serif\">\
     <a href=\"/\" style=\"color: #1f5fbf\">Back to the control panel</a></p>";

/// The file that the library has under this name, with the settings in it.
fn served(name: &str, config: Arc<Config<'static>>) -> Option<Served> {
    let file = utoipa_swagger_ui::serve(name, config).ok()??;
    if name == "index.html" {
        let page = String::from_utf8_lossy(&file.bytes).replace(BODY, BODY_WITH_WAY_BACK);
        return Some(Served::new(file.content_type, None, Bytes::from(page)));
    }
    let body = match file.bytes {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(Served::new(file.content_type, None, body))
}

/// `GET /openapi.json`.
pub(super) async fn document(known: Known) -> HttpResponse {
    SERVED_DOCUMENT.answer(known)
}

/// `GET /docs`.
pub(super) async fn to_page() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header(("Location", "/docs/")).finish()
}

/// `GET /docs/{file}`.
pub(super) async fn file(path: web::Path<String>, known: Known) -> Result<HttpResponse, ApiError> {
    let name = if path.is_empty() { "index.html" } else { path.as_str() };
    let file = SERVED_FILES.iter().find(|(own, _)| *own == name);
    file.map(|(_, file)| file.answer(known)).ok_or_else(|| ApiError::no_such_page("/docs/", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_has_all_files_and_their_bytes_are_not_copied() {
        assert_eq!(SERVED_FILES.len(), FILES.len());
        let again = served("swagger-ui-bundle.js", Arc::new(Config::new([DOCUMENT]))).expect("a file");
        let (_, first) = SERVED_FILES.iter().find(|(name, _)| *name == "swagger-ui-bundle.js").expect("served");
        assert_eq!(first.bytes().as_ptr(), again.bytes().as_ptr(), "both are the binary's own");
    }
}
