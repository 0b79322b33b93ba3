//! Pages of lists, as they are answered: so many entries, and so many bytes.
//!
//! What an entry looks like is up to each list. It must never end a page without an entry while there is one, or a caller
//! that follows the tokens would not come to an end.

use actix_web::body::BoxBody;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::body::Pieces;
use super::query::page_token;
use crate::store::Page;

/// Largest page, unless a single entry is larger. The largest number of jobs on a page, with the ten steps or so that most of
/// them have, take a third of it; with a thousand steps each they would take fifty MiB, more than a caller can use at once,
/// and one caller could ask for it many times.
const MAX_PAGE_BYTES: usize = 512 * 1024;

/// The answer to `request` with this `page`, whose entries are called `name` and look as `render` says; `None` leaves one out.
pub fn answer<T>(
    request: &HttpRequest,
    name: &str,
    page: Page<T>,
    mut render: impl FnMut(&T) -> Option<Bytes>,
) -> HttpResponse {
    let mut pieces = vec![Bytes::from(format!("{{\"{name}\":["))];
    let (mut size, mut next, mut before) = (0, page.next, None);
    for (position, entry) in &page.entries {
        if let Some(rendered) = render(entry) {
            if size > 0 && size + rendered.len() > MAX_PAGE_BYTES {
                next = before;
                break;
            }
            if size > 0 {
                pieces.push(Bytes::from_static(b","));
            }
            size += rendered.len() + 1;
            pieces.push(rendered);
        }
        before = Some(*position);
    }
    let token = next.map_or("null".to_owned(), |position| format!("\"{}\"", page_token(position)));
    pieces.push(Bytes::from(format!("],\"nextPageToken\":{token}}}")));
    HttpResponse::Ok().content_type("application/json").body(BoxBody::new(Pieces::of(request, pieces)))
}

/// `entry` as JSON.
pub fn json(entry: &impl serde::Serialize) -> Option<Bytes> {
    // Only maps with keys that are not text can fail to become JSON, and there are none.
    serde_json::to_vec(entry).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::{Value, json};

    use super::*;
    use crate::store::Position;

    /// The answer with entries of these sizes, of which those of size 0 are left out, at the positions 9, 8, 7, …
    async fn listed(sizes: &[usize], next: Option<i64>) -> (Vec<usize>, Value) {
        let entries = sizes.iter().enumerate().map(|(nth, size)| (Position(9 - nth as i64), *size)).collect();
        let page = Page { entries, next: next.map(Position) };
        let render = |size: &usize| (*size > 0).then(|| Bytes::from(format!("\"{}\"", "x".repeat(size - 2))));
        let answer = answer(&TestRequest::default().to_http_request(), "all", page, render);
        let body = actix_web::body::to_bytes(answer.into_body()).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let entries = body["all"].as_array().expect("a list");
        (entries.iter().map(|entry| entry.as_str().expect("text").len() + 2).collect(), body["nextPageToken"].clone())
    }

    #[actix_web::test]
    async fn a_page_ends_where_its_bytes_do() {
        let half = MAX_PAGE_BYTES / 2;
        assert_eq!(listed(&[], None).await, (vec![], Value::Null));
        assert_eq!(listed(&[0, 0], Some(3)).await, (vec![], json!("3")));
        assert_eq!(listed(&[5, 0, 6], Some(3)).await, (vec![5, 6], json!("3")));
        assert_eq!(listed(&[half - 1, half], None).await, (vec![half - 1, half], Value::Null));
        // The next page begins after what is on this one, also if the last of it was left out.
        assert_eq!(listed(&[half, 5, half], None).await, (vec![half, 5], json!("8")));
        assert_eq!(listed(&[half, 0, 0, half + 1], Some(1)).await, (vec![half], json!("7")));
        // One that is too large for any page has one to itself.
        assert_eq!(listed(&[2 * half + 5, 5], None).await, (vec![2 * half + 5], json!("9")));
        assert_eq!(listed(&[5, 2 * half + 5], None).await, (vec![5], json!("9")));
        assert_eq!(listed(&[2 * half + 5], None).await, (vec![2 * half + 5], Value::Null));
    }
}
