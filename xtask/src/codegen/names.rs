//! Model names to Rust names.

/// `Ipv6CidrBlock` → `ipv6_cidr_block`, `EnableResourceNameDnsAAAARecord` →
/// `enable_resource_name_dns_aaaa_record`; keywords become raw identifiers.
pub(crate) fn field(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let previous = i.checked_sub(1).map(|p| chars[p]);
        let next_is_lower = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let starts_word = match previous {
            None => false,
            Some(p) => c.is_ascii_uppercase() && (!p.is_ascii_uppercase() || next_is_lower),
        };
        if starts_word && !out.ends_with('_') {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    match out.as_str() {
        "type" | "return" | "move" | "ref" | "match" | "use" | "mod" | "for" | "in" | "where"
        | "static" | "const" | "enum" | "struct" | "trait" | "loop" | "async" | "dyn" => {
            format!("r#{out}")
        }
        _ => out,
    }
}

/// `VolumeType` → `VOLUME_TYPE`.
pub(crate) fn constant(name: &str) -> String {
    field(name).trim_start_matches("r#").to_ascii_uppercase()
}

/// The name a structure gets: the model's, with its first letter capitalised.
pub(crate) fn structure(name: &str) -> String {
    capitalised(name)
}

/// First letter upper case, as the EC2 query protocol forms parameter names.
pub(crate) fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_uppercase().to_string() + chars.as_str())
}

/// The module of a service.
pub(crate) fn module(service: &str) -> String {
    service.replace('-', "_")
}

/// A service as a variant of `Service`.
pub(crate) fn service(name: &str) -> String {
    name.split('-').map(structure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_snake_case() {
        for (name, expected) in [
            ("VpcId", "vpc_id"),
            ("Ipv6CidrBlock", "ipv6_cidr_block"),
            ("EnableDns64", "enable_dns64"),
            ("EnableResourceNameDnsAAAARecord", "enable_resource_name_dns_aaaa_record"),
            ("DNSName", "dns_name"),
            ("S3Bucket", "s3_bucket"),
            ("DefaultVCpus", "default_v_cpus"),
            ("Type", "r#type"),
            ("lastModifiedDate", "last_modified_date"),
        ] {
            assert_eq!(field(name), expected);
        }
        assert_eq!(constant("VolumeType"), "VOLUME_TYPE");
        assert_eq!(structure("arnType"), "ArnType");
    }
}
