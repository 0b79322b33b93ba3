//! The control panel: the page at `/` and what it loads from `/panel/`.
//!
//! The files are in `src/panel`, written as browsers read them; there is no build step that could produce anything else,
//! and the binary contains them, so that the panel always speaks of the API it is served with. A table names each of them,
//! because a file that got into the binary by accident would be served by accident. The page must never load anything
//! from another host or run a script that is not one of these files; the headers here make browsers enforce it.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes};

use super::files::{Known, Served};
use super::problem::ApiError;

/// What a browser lets the page do: run, style and draw with files from here, and talk to this gateway. `data:` is for
/// the small pictures in style sheets.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Stands in the page for the version of the gateway.
const VERSION_PLACEHOLDER: &str = "{{version}}";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! files {
    ($($name:literal $kind:ident;)*) => {
        &[$(File { name: $name, content_type: $kind, text: include_str!(concat!("../panel/", $name)) }),*]
    };
}

/// The page itself, and what it loads.
const PAGE: File = File { name: "index.html", content_type: HTML, text: include_str!("../panel/index.html") };
const FILES: &[File] = files! {
    "panel.css" CSS;
    "cards.css" CSS;
    "tables.css" CSS;
    "policies.css" CSS;
    "groups.css" CSS;
    "icon.svg" SVG;
    "main.js" SCRIPT;
    "api.js" SCRIPT;
    "request.js" SCRIPT;
    "clock.js" SCRIPT;
    "session.js" SCRIPT;
    "events.js" SCRIPT;
    "store.js" SCRIPT;
    "live.js" SCRIPT;
    "loading.js" SCRIPT;
    "looking.js" SCRIPT;
    "readiness.js" SCRIPT;
    "fleet.js" SCRIPT;
    "following.js" SCRIPT;
    "need.js" SCRIPT;
    "outage.js" SCRIPT;
    "advice.js" SCRIPT;
    "line.js" SCRIPT;
    "history.js" SCRIPT;
    "ledger.js" SCRIPT;
    "standing.js" SCRIPT;
    "outlook.js" SCRIPT;
    "routes.js" SCRIPT;
    "format.js" SCRIPT;
    "words.js" SCRIPT;
    "zone.js" SCRIPT;
    "policy.js" SCRIPT;
    "plot.js" SCRIPT;
    "plotmarks.js" SCRIPT;
    "timeplot.js" SCRIPT;
    "metrics.js" SCRIPT;
    "rows.js" SCRIPT;
    "views/app.js" SCRIPT;
    "views/parts.js" SCRIPT;
    "views/overview.js" SCRIPT;
    "views/strip.js" SCRIPT;
    "views/card.js" SCRIPT;
    "views/fleet.js" SCRIPT;
    "views/plots.js" SCRIPT;
    "views/timeplot.js" SCRIPT;
    "views/resource.js" SCRIPT;
    "views/ahead.js" SCRIPT;
    "views/policy.js" SCRIPT;
    "views/decision.js" SCRIPT;
    "views/outlook.js" SCRIPT;
    "views/ledger.js" SCRIPT;
    "views/hold.js" SCRIPT;
    "views/claims.js" SCRIPT;
    "views/asking.js" SCRIPT;
    "views/demands.js" SCRIPT;
    "views/jobs.js" SCRIPT;
    "views/job.js" SCRIPT;
    "views/groups.js" SCRIPT;
    "views/filters.js" SCRIPT;
    "views/group.js" SCRIPT;
    "views/planned.js" SCRIPT;
    "views/several.js" SCRIPT;
    "views/severalwish.js" SCRIPT;
    "views/scale.js" SCRIPT;
    "views/fields.js" SCRIPT;
    "views/wish.js" SCRIPT;
    "views/plan.js" SCRIPT;
    "views/key.js" SCRIPT;
    "views/about.js" SCRIPT;
    "views/access.js" SCRIPT;
    "views/newkey.js" SCRIPT;
    "views/keywish.js" SCRIPT;
    "views/attempts.js" SCRIPT;
    "vendor/preact.mjs" SCRIPT;
    "vendor/preact.LICENSE.txt" TEXT;
    "vendor/uPlot.esm.js" SCRIPT;
    "vendor/uPlot.min.css" CSS;
    "vendor/uPlot.LICENSE.txt" TEXT;
};

struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

static SERVED_PAGE: LazyLock<Served> = LazyLock::new(|| PAGE.served());
static SERVED_FILES: LazyLock<Vec<(&str, Served)>> =
    LazyLock::new(|| FILES.iter().map(|file| (file.name, file.served())).collect());

impl File {
    fn served(&self) -> Served {
        let body = match self.content_type {
            HTML => Bytes::from(self.text.replace(VERSION_PLACEHOLDER, env!("CARGO_PKG_VERSION"))),
            _ => Bytes::from_static(self.text.as_bytes()),
        };
        Served::new(self.content_type, Some(CONTENT_SECURITY_POLICY), body)
    }
}

/// `GET /`.
pub(super) async fn page(known: Known) -> HttpResponse {
    SERVED_PAGE.answer(known)
}

/// `GET /panel/{file}`.
pub(super) async fn file(path: web::Path<String>, known: Known) -> Result<HttpResponse, ApiError> {
    let file = SERVED_FILES.iter().find(|(name, _)| *name == path.as_str());
    file.map(|(_, file)| file.answer(known)).ok_or_else(|| ApiError::no_such_page("/panel/", &path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use actix_web::dev::ServiceResponse;
    use actix_web::http::header::HeaderMap;
    use actix_web::http::{Method, StatusCode};
    use actix_web::{App, middleware::from_fn, test};
    use strum::VariantArray as _;

    use super::*;
    use crate::api::browsers::BrowserRules;
    use crate::api::finish::finish;
    use crate::api::{Code, PROBLEM_JSON, Problem};
    use crate::config::Access;
    use crate::domain::ErrorCode;
    use crate::domain::policy::{Action, Limiter, Missing, Mode, Trigger};

    async fn ask(request: test::TestRequest) -> ServiceResponse {
        let app = App::new()
            .app_data(web::Data::new(BrowserRules::new(&Access::default(), true)))
            .route("/", web::get().to(page))
            .route("/panel/{file:.*}", web::get().to(file))
            .wrap(from_fn(finish));
        let app = test::init_service(app).await;
        test::call_service(&app, request.to_request()).await.map_into_boxed_body()
    }

    async fn get(path: &str) -> ServiceResponse {
        ask(test::TestRequest::get().uri(path)).await
    }

    fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().expect("text")
    }

    fn paths() -> Vec<String> {
        let files = FILES.iter().map(|file| format!("/panel/{}", file.name));
        std::iter::once("/".to_owned()).chain(files).collect()
    }

    #[actix_web::test]
    async fn every_file_is_served_safely() {
        for path in paths() {
            let response = get(&path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers().clone();
            let kind = match path.rsplit_once('.').map(|(_, end)| end) {
                None => "text/html; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                Some("js" | "mjs") => "text/javascript; charset=utf-8",
                Some("svg") => "image/svg+xml",
                Some("txt") => "text/plain; charset=utf-8",
                Some(other) => panic!("what is {other}?"),
            };
            assert_eq!(header(&headers, "content-type"), kind, "{path}");
            assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
            assert_eq!(header(&headers, "referrer-policy"), "no-referrer");
            assert_eq!(header(&headers, "cache-control"), "no-cache");
            let policy: BTreeSet<&str> = header(&headers, "content-security-policy").split("; ").collect();
            for needed in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data:",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(needed), "{path}: {policy:?}");
            }
            assert!(!policy.iter().any(|part| part.contains("unsafe")), "{policy:?}");
            let body = actix_web::body::to_bytes(response.into_body()).await.expect("a body");
            assert!(!body.is_empty() && !body.windows(2).any(|pair| pair == b"{{"), "{path}: a placeholder is left");
        }
        let page = test::read_body(get("/").await).await;
        let version = format!("content=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(String::from_utf8_lossy(&page).contains(&version), "the page says of which version it is");
    }

    #[actix_web::test]
    async fn what_a_browser_has_is_not_sent_again() {
        let mut tags = BTreeSet::new();
        for path in paths() {
            let tag = header(get(&path).await.headers(), "etag").to_owned();
            assert!(tag.starts_with('"') && tags.insert(tag.clone()), "{path}: {tag} is weak, or that of another file");
            let other = "\"of another version\"";
            for (known, status) in [
                (tag.clone(), StatusCode::NOT_MODIFIED),
                (format!("{other}, W/{tag}"), StatusCode::NOT_MODIFIED),
                ("*".to_owned(), StatusCode::NOT_MODIFIED),
                (other.to_owned(), StatusCode::OK),
                ("nonsense".to_owned(), StatusCode::OK),
            ] {
                let response = ask(test::TestRequest::get().uri(&path).insert_header(("If-None-Match", known))).await;
                assert_eq!((response.status(), header(response.headers(), "etag")), (status, tag.as_str()), "{path}");
                assert_eq!(header(response.headers(), "x-content-type-options"), "nosniff");
                assert_eq!(test::read_body(response).await.is_empty(), status == StatusCode::NOT_MODIFIED, "{path}");
            }
        }
    }

    #[actix_web::test]
    async fn head_is_get_without_a_body() {
        for path in ["/", "/panel/main.js"] {
            let (head, get) = (ask(test::TestRequest::default().method(Method::HEAD).uri(path)).await, get(path).await);
            assert_eq!((head.status(), head.headers().get("etag")), (StatusCode::OK, get.headers().get("etag")));
        }
    }

    #[actix_web::test]
    async fn nothing_else_is_served() {
        let long = "x".repeat(5000);
        for name in [
            "",
            "nothing.js",
            "index.html",
            "vendor/",
            "vendor/README.md",
            "../panel.rs",
            "..%2fpanel.rs",
            "/etc/passwd",
            "MAIN.js",
            "main.js/",
            &long,
        ] {
            let response = get(&format!("/panel/{name}")).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{name}");
            assert_eq!(header(response.headers(), "content-type"), PROBLEM_JSON);
            let problem: Problem = test::read_body_json(response).await;
            assert!(problem.code == Code::NotFound && problem.detail.len() < 300, "{problem:?}");
        }
    }

    /// All files there are, beside this module.
    fn files_on_disk() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/panel");
        let mut found = BTreeSet::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).expect("inside").to_str().expect("text").to_owned());
                }
            }
        }
        found
    }

    /// What a file asks a browser to load, as paths of this gateway.
    fn loaded_by(file: &File) -> Vec<String> {
        let directory = file.name.rsplit_once('/').map_or("", |(directory, _)| directory);
        let between = |start: &str| {
            let parts = file.text.split(start).skip(1);
            parts.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect::<Vec<_>>()
        };
        if file.content_type == HTML {
            return [between("href=\""), between("src=\"")].concat();
        }
        let modules = [between(" from \""), between("import \"")].concat();
        let absolute = modules.iter().map(|module| {
            let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
            for part in module.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop().expect("inside")),
                    part => parts.push(part),
                }
            }
            format!("/panel/{}", parts.join("/"))
        });
        absolute.collect()
    }

    #[actix_web::test]
    async fn files_and_references_match() {
        let mut known: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        known.extend(["index.html", "vendor/README.md"].map(String::from));
        assert_eq!(known, files_on_disk(), "a file is missing in the table, or on the disk");

        let own = FILES.iter().filter(|file| !file.name.starts_with("vendor/"));
        let mut asked: BTreeSet<String> = own.chain([&PAGE]).flat_map(loaded_by).collect();
        // Pages of the gateway itself.
        assert!(asked.remove("/docs/"));
        assert!(asked.len() > 15, "{asked:?}");
        let served: BTreeSet<String> =
            FILES.iter().filter(|file| file.content_type != TEXT).map(|file| format!("/panel/{}", file.name)).collect();
        assert_eq!(asked, served, "something is asked for that is not served, or served and never asked for");
        let preloaded: BTreeSet<&str> = PAGE
            .text
            .split("modulepreload\" href=\"/panel/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .chain(["main.js"])
            .collect();
        let scripts: BTreeSet<&str> =
            FILES.iter().filter(|file| file.content_type == SCRIPT).map(|file| file.name).collect();
        assert_eq!(preloaded, scripts, "the page names all modules");
    }

    /// The panel has a word of its own for everything that a decision can say.
    #[actix_web::test]
    async fn the_words_of_decisions_are_known() {
        fn names<T: serde::Serialize>(all: &[T]) -> Vec<String> {
            let name = |value| serde_json::to_value(value).expect("JSON").as_str().expect("a word").to_owned();
            all.iter().map(name).collect()
        }
        let words = FILES.iter().find(|file| file.name == "policy.js").expect("the file").text;
        let used = [
            names(Trigger::VARIANTS),
            names(Action::VARIANTS),
            names(Limiter::VARIANTS),
            names(Missing::VARIANTS),
            names(Mode::VARIANTS),
        ];
        for name in used.concat() {
            assert!(words.contains(&format!("\n  {name}: ")), "there is no word for {name}");
        }
    }

    /// The panel says what to do about every code that a job can fail with.
    #[actix_web::test]
    async fn there_is_advice_for_every_code() {
        let advice = FILES.iter().find(|file| file.name == "advice.js").expect("the file").text;
        for code in ErrorCode::VARIANTS {
            assert!(advice.contains(&format!("\n  {}: [", code.as_str())), "there is no advice for {}", code.as_str());
        }
    }

    /// Without the comments of a library, which say where something was learned.
    fn without_comments(text: &str) -> String {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('*'));
        // The `//` of an address comes after a colon.
        let code = lines.map(|line| match line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':')) {
            Some((at, _)) => &line[..at],
            None => line,
        });
        code.collect::<Vec<_>>().join("\n")
    }

    /// Nothing in the files leads to another host. A namespace is a name and not an address.
    #[actix_web::test]
    async fn no_file_speaks_of_other_hosts() {
        for file in FILES.iter().chain([&PAGE]).filter(|file| file.content_type != TEXT) {
            let is_own = !file.name.starts_with("vendor/");
            let text = if is_own { file.text.to_owned() } else { without_comments(file.text) };
            for scheme in ["http://", "https://", "ws://", "wss://"] {
                for (at, _) in text.match_indices(scheme) {
                    let address = &text[at..];
                    assert!(address.starts_with("http://www.w3.org/"), "{}: {:.60}", file.name, address);
                }
            }
            for dangerous in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "EventSource("]
            {
                assert!(!is_own || !file.text.contains(dangerous), "{}: {dangerous}", file.name);
            }
        }
    }
}
