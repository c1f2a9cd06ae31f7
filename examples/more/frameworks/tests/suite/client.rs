//! What the outside clients have in common.

use crate::curl::Curl;
use crate::python::Python;

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// curl over HTTP/1.1.
    Http1,
    /// curl over HTTP/2 without TLS.
    Http2,
    /// The same with the content type and the body of gRPC.
    GrpcByCurl,
    /// The gRPC client of Python.
    Grpc,
}

impl Client {
    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::GrpcByCurl | Self::Grpc)
    }
}

/// Names and values, in the order in which they are sent.
pub(crate) type Fields = Vec<(&'static str, Vec<u8>)>;

/// What the client saw.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// The server has ended the stream or the connection.
    Nothing,
    /// The client refuses to send such a request.
    NotSent,
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// `None` from a client that does not tell.
    pub(crate) status: Option<u16>,
    /// Of head and trailer, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.fields.iter().filter(|(found, _)| found == name);
        fields.map(|(_, value)| value.clone()).collect()
    }
}

pub(crate) enum Running {
    Curl(Curl),
    Python(Box<Python>),
}

impl Running {
    /// `None`, and a word about it, where the client is not installed.
    pub(crate) fn start(client: Client) -> Option<Self> {
        match client {
            Client::Grpc => Python::start().map(|python| Self::Python(Box::new(python))),
            _ => Curl::new(client).map(Self::Curl),
        }
    }

    /// Sends a POST. Over gRPC it has a message without fields in it, which curl leaves out where it is told to.
    pub(crate) fn post(&mut self, url: &str, path: &str, fields: &Fields, with_message: bool) -> Reply {
        match self {
            Self::Curl(curl) => curl.post(url, path, fields, with_message),
            Self::Python(python) => python.call(url, path, fields),
        }
    }
}
