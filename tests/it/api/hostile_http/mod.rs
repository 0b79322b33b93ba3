//! Hostile clients against the real binary, over raw connections: bytes that are nearly HTTP, requests that try to hide
//! another one, clients that are slow, deaf or gone, and thousands of them. They have an API key, or nothing they send
//! would get far.
//!
//! Each gets at most one answer to each request: a problem document where it asked in HTTP, a bare 400, 408 or 431 and
//! the end of the connection where it did not. Nothing is answered with 5xx, nothing panics or hangs, no job comes to
//! be, and others are served meanwhile. Bad input within well-formed requests is in `http_input.rs`.

mod connections;
mod crowd;
mod looks;
mod memory;
mod requests;
mod scene;
