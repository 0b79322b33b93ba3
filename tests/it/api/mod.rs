//! The HTTP interface: contract, input, access, streams, TLS and hostile callers.

mod access;
mod forecasts;
mod hostile_http;
mod http_contract;
mod http_input;
mod http_process;
mod openapi;
mod policy_in_file;
mod policy_in_view;
mod scene;
mod streams;
mod tls;
