//! The examples of this workspace, run as programs over real sockets.

mod graphql;
mod mcp;
mod opentelemetry;
mod prometheus;
mod support;
