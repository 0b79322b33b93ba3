//! Headers of answers, as the document describes them.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Components, Ref, RefOr};

const REQUEST_ID: &str = "X-Request-Id";
const RATE_LIMIT: &str = "RateLimit";
const RATE_LIMIT_POLICY: &str = "RateLimit-Policy";
const CHALLENGE: &str = "WWW-Authenticate";

/// A header that gives a number of seconds.
pub fn seconds_header(description: &str) -> Header {
    let int32 = SchemaFormat::KnownFormat(KnownFormat::Int32);
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).format(Some(int32)).minimum(Some(0));
    HeaderBuilder::new().schema(Some(seconds)).description(Some(description)).build()
}

/// Describes the headers that middleware adds to answers.
pub fn describe_common_headers(components: &mut Components) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let id = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    for (name, schema, description) in [
        (REQUEST_ID, id, "Identifies the request in the log."),
        (RATE_LIMIT, text(), "How many requests may still come in this second; absent where there is no limit."),
        (RATE_LIMIT_POLICY, text(), "How many requests may come in a second; absent where there is no limit."),
        (CHALLENGE, text(), "What kind of key is needed."),
    ] {
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        components.headers.insert(name.to_owned(), header.into());
    }
}

/// References to the headers that middleware adds to an answer of an operation that `needs_key`; `refuses_key` if the answer
/// is about the key.
pub fn common_headers(needs_key: bool, refuses_key: bool) -> impl Iterator<Item = (String, RefOr<Header>)> {
    let with_key = [RATE_LIMIT, RATE_LIMIT_POLICY].into_iter().chain(refuses_key.then_some(CHALLENGE));
    let names = [REQUEST_ID].into_iter().chain(with_key.filter(move |_| needs_key));
    names.map(|name| (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))))
}
