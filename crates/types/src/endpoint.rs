//! The services of AWS that a VPC reaches through endpoints of its own: one list, from which their
//! names in the API, their DNS names, their certificates and their blocks come (VPCE-*).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::{NetworkInterfaceId, Region, VpcEndpointId, VpcId};

/// A service of AWS that a VPC may have endpoints for.
#[derive(Debug, PartialEq, Eq)]
pub struct EndpointService {
    /// The last part of `com.amazonaws.<region>.<name>`, and the first of its DNS names.
    pub name: &'static str,
    /// What precedes `.<region>.amazonaws.com` in its own names, which private DNS takes over
    /// (VPCE-9); none where it has no interface endpoints. `*` stands for one or more labels.
    pub private_names: &'static [&'static str],
    /// The region that alone has its endpoints, of a service that is one for all regions: its names
    /// have no region then.
    pub home: Option<&'static str>,
    /// Where its gateway endpoints lead, if it has any (VPCE-18).
    pub gateway: Option<GatewayService>,
}

/// What gateway endpoints of a service lead to.
#[derive(Debug, PartialEq, Eq)]
pub struct GatewayService {
    /// The addresses of its prefix list, at which the simulated internet has the service too. One
    /// block for all regions, unlike on AWS.
    pub block: Ipv4Net,
    /// Whether flows through it are tracked whatever the rules say (SGT-11).
    pub tracked: bool,
}

/// How many addresses the block of a service may have: [`callee_address`] tells them apart.
pub const ADDRESSES_PER_BLOCK: u32 = 32;

const fn interface(name: &'static str, private_names: &'static [&'static str]) -> EndpointService {
    EndpointService { name, private_names, home: None, gateway: None }
}

/// The services. Whoever serves another one adds it here.
pub const ENDPOINT_SERVICES: &[EndpointService] = &[
    EndpointService {
        name: "dynamodb",
        private_names: &[],
        home: None,
        gateway: Some(GatewayService {
            block: Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 160), 27),
            tracked: true,
        }),
    },
    interface("ec2", &["ec2"]),
    interface("ec2-instance-connect", &["ec2-instance-connect"]),
    interface("ec2messages", &["ec2messages"]),
    EndpointService {
        name: "iam",
        private_names: &["iam"],
        home: Some("us-east-1"),
        gateway: None,
    },
    interface("logs", &["logs"]),
    interface("monitoring", &["monitoring"]),
    EndpointService {
        name: "s3",
        private_names: &["s3", "*.s3", "*.s3-accesspoint", "*.s3-control"],
        home: None,
        gateway: Some(GatewayService {
            block: Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 128), 27),
            tracked: false,
        }),
    },
    interface("ssm", &["ssm"]),
    interface("ssmmessages", &["ssmmessages"]),
    interface("sts", &["sts"]),
];

impl EndpointService {
    /// The service behind a name in the API, `com.amazonaws.<region>.<name>`, in a region.
    pub fn named(region: &Region, service_name: &str) -> Option<&'static Self> {
        Self::of(service_name)
            .filter(|it| it.is_in(region) && it.service_name(region) == service_name)
    }

    /// The service of a name in the API, whatever the region.
    pub fn of(service_name: &str) -> Option<&'static Self> {
        let rest = service_name.strip_prefix("com.amazonaws.")?;
        let (region, name) = rest.split_once('.').map_or((None, rest), |(r, n)| (Some(r), n));
        let is_meant = |it: &&Self| it.name == name && it.home.is_none() == region.is_some();
        ENDPOINT_SERVICES.iter().find(is_meant)
    }

    /// The service that a person means: by its short name (`ssm`), its name in the API, or a host name
    /// of it in any region.
    pub fn meant(name: &str) -> Option<&'static Self> {
        let short = |name: &str| ENDPOINT_SERVICES.iter().find(|service| service.name == name);
        short(name).or_else(|| Self::of(name)).or_else(|| {
            let rest = name.strip_suffix(".amazonaws.com")?;
            let Some((_, region)) = rest.rsplit_once('.') else {
                return short(rest).filter(|service| service.home.is_some());
            };
            let region = region.parse().ok()?;
            ENDPOINT_SERVICES.iter().find(|service| service.is_called(&region, name))
        })
    }

    /// Whether a region has endpoints of it.
    pub fn is_in(&self, region: &Region) -> bool {
        self.home.is_none_or(|home| home == region.as_str())
    }

    /// Its name in the API: `com.amazonaws.<region>.<name>`, or `com.amazonaws.<name>` where it is one
    /// for all regions.
    pub fn service_name(&self, region: &Region) -> String {
        match self.home {
            None => format!("com.amazonaws.{region}.{}", self.name),
            Some(_) => format!("com.amazonaws.{}", self.name),
        }
    }

    /// Whether it has interface endpoints.
    pub fn has_interfaces(&self) -> bool {
        !self.private_names.is_empty()
    }

    /// The names that private DNS takes over in a region (VPCE-9).
    pub fn private_dns_names(&self, region: &Region) -> impl Iterator<Item = String> + '_ {
        let domain = self.domain(region);
        self.private_names.iter().map(move |name| format!("{name}.{domain}"))
    }

    /// The domain of the names that its endpoints have themselves (VPCE-7).
    pub fn endpoint_domain(&self, region: &Region) -> String {
        format!("{}.{region}.vpce.amazonaws.com", self.name)
    }

    /// The name by which everybody knows it in a region.
    pub fn public_dns_name(&self, region: &Region) -> String {
        format!("{}.{}", self.name, self.domain(region))
    }

    /// What its own names end with.
    fn domain(&self, region: &Region) -> String {
        match self.home {
            None => format!("{region}.amazonaws.com"),
            Some(_) => "amazonaws.com".to_owned(),
        }
    }

    /// Whether a host name, lower case, is one that the service answers to in a region.
    pub fn is_called(&self, region: &Region, name: &str) -> bool {
        let below = |domain: &str| {
            let host = name.strip_suffix(domain).and_then(|host| host.strip_suffix('.'));
            host.is_some_and(|host| !host.is_empty())
        };
        name == self.public_dns_name(region)
            || below(&self.endpoint_domain(region))
            || self.private_dns_names(region).any(|own| match own.strip_prefix("*.") {
                Some(domain) => below(domain),
                None => own == name,
            })
    }
}

/// Where a request to AWS's API came from: what policies may ask for. Servers put it on the request
/// as an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address of who sent it: a public one (`aws:SourceIp`), or through an endpoint a private
    /// one (`aws:VpcSourceIp`).
    pub address: IpAddr,
    /// Whether it came over TLS (`aws:SecureTransport`).
    pub is_secure: bool,
    /// The endpoint that it came through.
    pub endpoint: Option<EndpointOrigin>,
}

/// An endpoint that a request came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOrigin {
    /// The endpoint (`aws:SourceVpce`); its policy is in its record.
    pub id: VpcEndpointId,
    /// Its VPC (`aws:SourceVpc`).
    pub vpc: VpcId,
    /// The interface that has the caller's address, where that is an instance's.
    pub interface: Option<NetworkInterfaceId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seoul() -> Region {
        "ap-northeast-2".parse().expect("a region")
    }

    #[test]
    fn a_service_is_found_by_its_name_in_its_region() {
        let name = "com.amazonaws.ap-northeast-2.ssmmessages";
        let service = EndpointService::named(&seoul(), name).expect("it is served");
        assert_eq!(service.service_name(&seoul()), name);
        assert_eq!(EndpointService::of(name), Some(service));
        for other in [
            "com.amazonaws.us-east-1.ssm",
            "com.amazonaws.ap-northeast-2.",
            "com.amazonaws.ap-northeast-2.ssm.more",
            "ssm",
        ] {
            assert_eq!(EndpointService::named(&seoul(), other), None, "{other}");
        }
    }

    #[test]
    fn a_service_answers_to_its_own_names_only() {
        let s3 = EndpointService::of("com.amazonaws.ap-northeast-2.s3").expect("it is served");
        for name in [
            "s3.ap-northeast-2.amazonaws.com",
            "logs.of.me.s3.ap-northeast-2.amazonaws.com",
            "bucket.vpce-1-2.s3.ap-northeast-2.vpce.amazonaws.com",
        ] {
            assert!(s3.is_called(&seoul(), name), "{name}");
        }
        for name in [
            "s3.us-east-1.amazonaws.com",
            ".s3.ap-northeast-2.amazonaws.com",
            "ssm.ap-northeast-2.amazonaws.com",
            "evils3.ap-northeast-2.amazonaws.com",
        ] {
            assert!(!s3.is_called(&seoul(), name), "{name}");
        }
    }

    /// IAM is one for all regions; its endpoints are where its control plane is.
    #[test]
    fn a_service_of_all_regions_has_its_endpoints_in_one() {
        let virginia: Region = "us-east-1".parse().expect("a region");
        let iam = EndpointService::named(&virginia, "com.amazonaws.iam").expect("it is served");
        assert_eq!(iam.service_name(&virginia), "com.amazonaws.iam");
        assert_eq!(EndpointService::of("com.amazonaws.iam"), Some(iam));
        for wrong in [(&virginia, "com.amazonaws.us-east-1.iam"), (&seoul(), "com.amazonaws.iam")] {
            assert_eq!(EndpointService::named(wrong.0, wrong.1), None, "{wrong:?}");
        }
        assert_eq!(EndpointService::of("com.amazonaws.ssm"), None, "which has a region");
        let private: Vec<_> = iam.private_dns_names(&virginia).collect();
        assert_eq!(private, ["iam.amazonaws.com"]);
        assert_eq!(iam.endpoint_domain(&virginia), "iam.us-east-1.vpce.amazonaws.com");
        for meant in ["iam", "iam.amazonaws.com", "com.amazonaws.iam"] {
            assert_eq!(EndpointService::meant(meant), Some(iam), "{meant}");
        }
        assert_eq!(EndpointService::meant("ssm.amazonaws.com"), None);
        assert!(iam.is_called(&virginia, "vpce-1-2.iam.us-east-1.vpce.amazonaws.com"));
        assert!(!iam.is_called(&virginia, "iam.us-east-1.amazonaws.com"));
    }

    #[test]
    fn people_mean_a_service_by_any_of_its_names() {
        for name in [
            "ssmmessages",
            "com.amazonaws.ap-northeast-2.ssmmessages",
            "ssmmessages.us-east-1.amazonaws.com",
        ] {
            let meant = EndpointService::meant(name).map(|service| service.name);
            assert_eq!(meant, Some("ssmmessages"), "{name}");
        }
        let bucket = EndpointService::meant("bucket.s3.ap-northeast-2.amazonaws.com");
        assert_eq!(bucket.map(|service| service.name), Some("s3"));
        for name in ["PRIVATE-01", "ec2-1-2-3-4.ap-northeast-2.compute.amazonaws.com", "ssm.", ""] {
            assert_eq!(EndpointService::meant(name), None, "{name}");
        }
    }

    #[test]
    fn blocks_of_gateways_are_apart_and_small_enough() {
        let gateways: Vec<_> =
            ENDPOINT_SERVICES.iter().filter_map(|it| it.gateway.as_ref()).collect();
        for (number, gateway) in gateways.iter().enumerate() {
            let size = 1_u32 << (32 - gateway.block.prefix_len());
            assert!(size <= ADDRESSES_PER_BLOCK, "{gateway:?}");
            let other = |it: &&GatewayService| it.block.contains(&gateway.block.network());
            assert!(!gateways[number + 1..].iter().any(other), "{gateway:?}");
        }
    }
}
