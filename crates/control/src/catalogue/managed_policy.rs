//! The managed policies of AWS that people attach, with AWS's own documents.
//!
//! `managed_policies.txt` has two lines a policy: path and name, version, when it was made and when
//! last changed; then the document. AWS has some fifteen hundred more.

use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::credential::spell;

/// A managed policy of AWS.
#[derive(Debug)]
pub(crate) struct AwsManagedPolicy {
    /// `arn:aws:iam::aws:policy/…`
    pub(crate) arn: String,
    /// The id of the only version that is kept, the default one.
    pub(crate) version: &'static str,
    /// As in answers: RFC 3339.
    pub(crate) created: &'static str,
    pub(crate) updated: &'static str,
    pub(crate) document: &'static str,
}

impl AwsManagedPolicy {
    pub(crate) fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// An id that is the same at all times, if not AWS's.
    pub(crate) fn id(&self) -> String {
        let digest = Sha256::digest(&self.arn);
        let mut id = "ANPA".to_owned();
        for bits in digest.as_chunks::<8>().0 {
            spell(&mut id, u64::from_be_bytes(*bits), 21);
        }
        id
    }
}

/// All of them, in the order of their ARNs.
pub(crate) fn aws_managed_policies() -> &'static [AwsManagedPolicy] {
    static POLICIES: OnceLock<Vec<AwsManagedPolicy>> = OnceLock::new();
    POLICIES.get_or_init(|| {
        let mut policies = Vec::new();
        let mut lines = include_str!("managed_policies.txt").lines();
        while let (Some(head), Some(document)) = (lines.next(), lines.next()) {
            let mut fields = head.split(' ');
            let mut field = || fields.next().unwrap_or_default();
            policies.push(AwsManagedPolicy {
                arn: format!("arn:aws:iam::aws:policy/{}", field()),
                version: field(),
                created: field(),
                updated: field(),
                document,
            });
        }
        policies.sort_by(|a, b| a.arn.cmp(&b.arn));
        policies
    })
}

/// The one with an ARN.
pub(crate) fn aws_managed_policy(arn: &str) -> Option<&'static AwsManagedPolicy> {
    let all = aws_managed_policies();
    let place = all.binary_search_by(|policy| policy.arn.as_str().cmp(arn)).ok()?;
    all.get(place)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gureum_types::Timestamp;

    use super::*;
    use crate::iam::policy::parse_identity;

    #[test]
    fn every_policy_is_whole() {
        let all = aws_managed_policies();
        assert!(all.len() > 100, "the file was read to its end");
        for policy in all {
            let name = policy.name();
            assert!(parse_identity(policy.document).is_ok(), "{name}");
            assert!(policy.version.starts_with('v'), "{name}");
            for moment in [policy.created, policy.updated] {
                assert!(moment.parse::<Timestamp>().is_ok(), "{name}");
            }
        }
        let ids: BTreeSet<_> = all.iter().map(AwsManagedPolicy::id).collect();
        assert_eq!(ids.len(), all.len());
    }

    #[test]
    fn the_policies_of_the_lab_are_there() {
        for path in ["service-role/AmazonEC2RoleforSSM", "AmazonSSMManagedInstanceCore"] {
            let arn = format!("arn:aws:iam::aws:policy/{path}");
            let policy = aws_managed_policy(&arn).expect(path);
            assert!(policy.document.contains("ssmmessages:OpenControlChannel"), "{path}");
        }
        assert!(aws_managed_policy("arn:aws:iam::aws:policy/AmazonEC2RoleforSSM").is_none());
    }
}
