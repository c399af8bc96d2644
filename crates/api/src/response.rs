//! Answers, good and bad, in each protocol's form.

use std::any::TypeId;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{
    error::ApiError,
    json,
    route::Refused,
    service::{Op, Protocol},
    shape::Structure,
    xml::Writer,
};

/// Gives out the elements of a list, one after the other.
pub type Elements<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&dyn Structure));

/// The answer of an operation of EC2 that went well, with one list of `output`, by its name in the
/// model, whose elements come while it is written: a thousand instances need not be there at once.
pub fn response_with<O: Op>(
    output: &O::Output,
    list: &str,
    each: Elements<'_>,
    request_id: &str,
) -> Response<Bytes> {
    let body = ec2_body::<O>(request_id, |writer| writer.members_with(output, list, each));
    finish(O::SERVICE.protocol, StatusCode::OK, body, request_id)
}

fn ec2_body<O: Op>(request_id: &str, members: impl FnOnce(&mut Writer)) -> String {
    let root = format!("{}Response", O::NAME);
    let mut writer = Writer::new(Protocol::Ec2Query);
    writer.open_root(&root, O::SERVICE.xml_namespace);
    writer.text("requestId", request_id);
    members(&mut writer);
    writer.close(&root);
    writer.finish()
}

/// The answer of an operation that went well.
pub fn response<O: Op>(output: &O::Output, request_id: &str) -> Response<Bytes> {
    let info = O::SERVICE;
    let no_output = TypeId::of::<O::Output>() == TypeId::of::<()>();
    let body = match info.protocol {
        Protocol::Ec2Query => ec2_body::<O>(request_id, |writer| {
            if no_output {
                writer.text("return", "true");
            }
            writer.members(output);
        }),
        Protocol::AwsQuery => {
            let (root, result) = (format!("{}Response", O::NAME), format!("{}Result", O::NAME));
            let mut writer = Writer::new(info.protocol);
            writer.open_root(&root, info.xml_namespace);
            if !no_output {
                writer.open(&result);
                writer.members(output);
                writer.close(&result);
            }
            writer.open("ResponseMetadata");
            writer.text("RequestId", request_id);
            writer.close("ResponseMetadata");
            writer.close(&root);
            writer.finish()
        }
        Protocol::AwsJson11 if no_output => String::new(),
        Protocol::AwsJson11 => json::encode(output).to_string(),
    };
    finish(info.protocol, StatusCode::OK, body, request_id)
}

impl ApiError {
    /// The error as `protocol` answers it (API-1).
    pub fn response(&self, protocol: Protocol, request_id: &str) -> Response<Bytes> {
        let mut writer = Writer::new(protocol);
        match protocol {
            Protocol::Ec2Query => {
                for name in ["Response", "Errors", "Error"] {
                    writer.open(name);
                }
                writer.text("Code", self.code);
                writer.text("Message", &self.message);
                writer.close("Error");
                writer.close("Errors");
                writer.text("RequestID", request_id);
                writer.close("Response");
            }
            Protocol::AwsQuery => {
                let fault = if self.status.is_server_error() { "Receiver" } else { "Sender" };
                writer.open("ErrorResponse");
                writer.open("Error");
                writer.text("Type", fault);
                writer.text("Code", self.code);
                writer.text("Message", &self.message);
                writer.close("Error");
                writer.text("RequestId", request_id);
                writer.close("ErrorResponse");
            }
            Protocol::AwsJson11 => return self.json_response(request_id),
        }
        finish(protocol, self.status, writer.finish(), request_id)
    }

    fn json_response(&self, request_id: &str) -> Response<Bytes> {
        let (code, status) = match self.code {
            "IncompleteSignature" => ("IncompleteSignatureException", StatusCode::BAD_REQUEST),
            "InvalidAction" => ("UnknownOperationException", StatusCode::BAD_REQUEST),
            "MissingAuthenticationToken" => {
                ("MissingAuthenticationTokenException", StatusCode::BAD_REQUEST)
            }
            "SignatureDoesNotMatch" => ("InvalidSignatureException", StatusCode::BAD_REQUEST),
            "InternalError" => ("InternalServerError", self.status),
            code => (code, self.status),
        };
        let body = json!({ "__type": code, "message": self.message }).to_string();
        let mut response = finish(Protocol::AwsJson11, status, body, request_id);
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
        response
    }
}

impl Refused {
    /// The error as the client's protocol answers it.
    pub fn response(&self, request_id: &str) -> Response<Bytes> {
        self.error.response(self.protocol, request_id)
    }
}

fn finish(
    protocol: Protocol,
    status: StatusCode,
    body: String,
    request_id: &str,
) -> Response<Bytes> {
    let kind = match protocol {
        Protocol::Ec2Query => "text/xml;charset=UTF-8",
        Protocol::AwsQuery => "text/xml",
        Protocol::AwsJson11 => "application/x-amz-json-1.1",
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", value);
    }
    response
}
