//! One table of requests and answers, through five frameworks, over real sockets, and the two examples for copying.
//!
//! The clients are curl, over HTTP/1.1, over HTTP/2 and with the content type of gRPC, and the gRPC client of Python.
//! Where one of them is not installed, its tests say `SKIPPED` and pass.

mod check;
mod client;
mod curl;
mod examples;
mod program;
mod python;
mod table;

use check::check;
use client::Client::{Grpc, GrpcByCurl, Http1, Http2};

#[test]
fn axum_answers_the_table_over_http_1() {
    check("axum", Http1);
}

#[test]
fn axum_answers_the_table_over_http_2() {
    check("axum", Http2);
}

#[test]
fn axum_answers_the_table_to_grpc_by_curl() {
    check("axum", GrpcByCurl);
}

#[test]
fn axum_refuses_a_grpc_client() {
    check("axum", Grpc);
}

#[test]
fn hyper_answers_the_table_over_http_1() {
    check("hyper", Http1);
}

#[test]
fn hyper_answers_the_table_over_http_2() {
    check("hyper", Http2);
}

#[test]
fn hyper_answers_the_table_to_grpc_by_curl() {
    check("hyper", GrpcByCurl);
}

#[test]
fn hyper_refuses_a_grpc_client() {
    check("hyper", Grpc);
}

#[test]
fn poem_answers_the_table_over_http_1() {
    check("poem", Http1);
}

#[test]
fn poem_answers_the_table_over_http_2() {
    check("poem", Http2);
}

#[test]
fn poem_answers_the_table_to_grpc_by_curl() {
    check("poem", GrpcByCurl);
}

#[test]
fn poem_refuses_a_grpc_client() {
    check("poem", Grpc);
}

#[test]
fn salvo_answers_the_table_over_http_1() {
    check("salvo", Http1);
}

#[test]
fn salvo_answers_the_table_over_http_2() {
    check("salvo", Http2);
}

#[test]
fn salvo_answers_the_table_to_grpc_by_curl() {
    check("salvo", GrpcByCurl);
}

#[test]
fn salvo_refuses_a_grpc_client() {
    check("salvo", Grpc);
}

#[test]
fn tonic_answers_the_table_to_grpc_by_curl() {
    check("tonic", GrpcByCurl);
}

#[test]
fn tonic_answers_the_table_to_a_grpc_client() {
    check("tonic", Grpc);
}
