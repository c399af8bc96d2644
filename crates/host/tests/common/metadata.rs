//! As much of a metadata service as a boot waits for.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, TcpStream},
    thread,
};

use gureum_host::cloud::Cloud;
use gureum_types::{ServiceDoor, caller_of, ipv6_caller_of};

/// Answers on the metadata door until the cloud is gone with its namespaces.
pub fn serve(cloud: &Cloud) {
    let door = ServiceDoor::Metadata;
    let v6 = door.ipv6_address().expect("it is open to IPv6");
    for address in [(door.address(), 80).into(), (v6, 80).into()] {
        let listener = cloud.namespaces().services.tcp_listener(address).expect("listening");
        listener.set_nonblocking(false).expect("set");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || answer(stream));
            }
        });
    }
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let (port, _) = match stream.peer_addr().ok()?.ip() {
        IpAddr::V4(caller) => caller_of(caller)?,
        IpAddr::V6(caller) => ipv6_caller_of(caller)?,
    };
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
        let path = request.split(' ').nth(1)?.trim_start_matches('/').to_owned();
        let (_, path) = path.split_once('/').unwrap_or_default();
        let body = match path.trim_end_matches('/') {
            "api/token" => "token".to_owned(),
            "meta-data" => "instance-id\nlocal-hostname\nlocal-ipv4\nplacement/".into(),
            "meta-data/instance-id" => format!("i-{:017x}", port.0),
            "meta-data/local-hostname" => "ip-10-1-1-10.ap-northeast-2.compute.internal".into(),
            "meta-data/local-ipv4" => "10.1.1.10".into(),
            "meta-data/placement" => "availability-zone".into(),
            "meta-data/placement/availability-zone" => "ap-northeast-2a".into(),
            "dynamic/instance-identity" => "document".into(),
            "dynamic/instance-identity/document" => r#"{"region": "ap-northeast-2"}"#.into(),
            _ => String::new(),
        };
        let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    }
    Some(())
}
