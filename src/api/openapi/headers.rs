//! Descriptions of response headers that several parts of the document share. Depends on nothing else of the API, so that
//! problems and handlers can use it.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// A header that gives a number of seconds.
pub fn seconds_header(description: &str) -> Header {
    let int32 = SchemaFormat::KnownFormat(KnownFormat::Int32);
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).format(Some(int32)).minimum(Some(0));
    HeaderBuilder::new().schema(Some(seconds)).description(Some(description)).build()
}
