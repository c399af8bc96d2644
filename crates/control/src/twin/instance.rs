//! Instances and their volumes.

use gureum_api::ec2;
use gureum_types::{
    IamInstanceProfileAssociationId, InstanceId, Tags, VolumeId,
    record::{
        IamInstanceProfileAssociation, Instance, InstanceState, MetadataOptions, Placed, Volume,
        VolumeAttachment,
    },
};

use super::{
    import::{Import, name, tags},
    named,
};
use crate::{
    catalogue::{ROOT_GIB, image_with_id, instance_type},
    resource::instance,
};

/// The device of a root volume where nothing says which.
const ROOT_DEVICE: &str = "/dev/xvda";

fn is(value: &Option<String>, word: &str) -> bool {
    value.as_deref() == Some(word)
}

impl Import<'_> {
    pub(super) fn instances(&mut self) {
        let all: Vec<_> = self.document.instances().collect();
        for (number, (reservation, it)) in all.into_iter().enumerate() {
            let of = name(&it.instance_id, "Instances", number);
            self.instance(&of, reservation, it);
        }
    }

    fn instance(
        &mut self,
        of: &str,
        reservation: &ec2::Reservation,
        it: &ec2::Instance,
    ) -> Option<()> {
        let state = match it.state.as_ref().and_then(|it| it.name.as_deref()) {
            Some("pending") => InstanceState::Pending,
            Some("running") => InstanceState::Running,
            Some("stopping") => InstanceState::Stopping,
            Some("stopped") => InstanceState::Stopped,
            Some("shutting-down") => InstanceState::ShuttingDown,
            // What is gone is shown for a while.
            Some("terminated") => {
                self.dead.insert(of.to_owned());
                return None;
            }
            other => {
                self.problem(of, format!("its state \"{}\" is none", other.unwrap_or_default()));
                return None;
            }
        };
        let id = self.need(of, "InstanceId", &it.instance_id)?;
        let reservation_id = self.need(of, "ReservationId", &reservation.reservation_id)?;
        let image_id = self.need(of, "ImageId", &it.image_id)?;
        let vpc_id = self.need(of, "VpcId", &it.vpc_id)?;
        let subnet_id = self.need(of, "SubnetId", &it.subnet_id)?;
        let kind = self.need::<String>(of, "InstanceType", &it.instance_type)?;
        let who = format!("{of}{}", named(&it.tags));
        if image_with_id(self.call.region(), it.image_id.as_deref().unwrap_or_default()).is_none() {
            let image = it.image_id.as_deref().unwrap_or_default();
            self.replaced(format!("{who}: {image} is not here: it boots this cloud's own image"));
        }
        if instance_type(&kind).is_none() {
            self.note(format!("{who}: {kind} is not known here: it is as large as a t3.micro"));
        }
        if it.platform.as_deref().is_some_and(|it| it.eq_ignore_ascii_case("windows")) {
            self.replaced(format!("{who}: it runs Windows, and here Linux"));
        }
        let placement = it.placement.clone().unwrap_or_default();
        let zone = placement.availability_zone.clone().unwrap_or_default();
        let placed = match (&placement.group_id, &placement.group_name) {
            (Some(id), Some(name)) if !id.is_empty() => id.parse().ok().map(|group_id| Placed {
                group_id,
                group_name: name.clone(),
                partition: placement.partition_number.and_then(|it| u32::try_from(it).ok()),
            }),
            _ => None,
        };
        let key = it.key_name.clone().filter(|it| !it.is_empty());
        let pair = key.as_deref().and_then(|name| self.tx.key_pair_named(&self.call.scope, name));
        let public_key = pair.map(|pair| pair.public_key.clone());
        let dns = it.private_dns_name_options.clone().unwrap_or_default();
        let maintenance = it.maintenance_options.clone().unwrap_or_default();
        let launched = it.launch_time.unwrap_or(self.call.now);
        let profile = it.iam_instance_profile.as_ref().and_then(|profile| {
            Some(IamInstanceProfileAssociation {
                id: IamInstanceProfileAssociationId::new(self.call.random()),
                arn: profile.arn.clone()?,
                profile_id: profile.id.clone().unwrap_or_default(),
                associated: launched,
            })
        });
        let reason = it.state_reason.as_ref().filter(|_| state != InstanceState::Pending);
        let reason = reason.map(|it| {
            (it.code.clone().unwrap_or_default(), it.message.clone().unwrap_or_default())
        });
        self.put(
            "Reservations",
            Instance {
                id,
                reservation_id,
                launch_index: it
                    .ami_launch_index
                    .and_then(|it| u32::try_from(it).ok())
                    .unwrap_or(0),
                image_id,
                instance_type: kind,
                key_name: key,
                public_key,
                vpc_id,
                subnet_id,
                availability_zone: self.place.zone(&zone),
                state,
                state_reason: reason,
                state_transition_reason: it.state_transition_reason.clone().unwrap_or_default(),
                launch_time: launched,
                starts: 1,
                reboots: 0,
                reboots_done: 0,
                force_stop: false,
                state_changed: self.call.now,
                status_ok: false,
                user_data: None,
                metadata_options: metadata_options(it),
                iam_instance_profile: profile,
                tenancy: placement.tenancy.unwrap_or("default".into()),
                ebs_optimized: it.ebs_optimized == Some(true),
                monitoring: it.monitoring.as_ref().is_some_and(|it| is(&it.state, "enabled")),
                disable_api_termination: false,
                disable_api_stop: false,
                instance_initiated_shutdown_behavior: "stop".into(),
                cpu_credits: None,
                hibernation: it
                    .hibernation_options
                    .as_ref()
                    .is_some_and(|it| it.configured == Some(true)),
                auto_recovery_disabled: is(&maintenance.auto_recovery, "disabled"),
                reboot_migration_disabled: is(&maintenance.reboot_migration, "disabled"),
                placed,
                connect_keys: Vec::new(),
                root_device_name: it.root_device_name.clone().unwrap_or(ROOT_DEVICE.into()),
                private_dns_hostname_type: dns.hostname_type.unwrap_or("ip-name".into()),
                resource_name_dns_a_record: dns.enable_resource_name_dns_a_record == Some(true),
                resource_name_dns_aaaa_record: dns.enable_resource_name_dns_aaaa_record
                    == Some(true),
                client_token: it.client_token.clone().filter(|it| !it.is_empty()),
                host: Some(self.call.config.host.clone()),
                tags: tags(&it.tags),
            },
        );
        Some(())
    }

    /// The volumes of the data, those that instances name, and a root for who has none.
    pub(super) fn volumes(&mut self) {
        for (number, it) in self.document.volumes.iter().enumerate() {
            let of = name(&it.volume_id, "Volumes", number);
            let Some(id) = self.need(&of, "VolumeId", &it.volume_id) else { continue };
            let tie = it.attachments.iter().find(|it| !is(&it.state, "detached"));
            let tie = tie
                .filter(|tie| tie.instance_id.as_ref().is_some_and(|id| self.has::<Instance>(id)));
            let attachment = tie.and_then(|tie| {
                Some(VolumeAttachment {
                    instance_id: tie.instance_id.as_ref()?.parse().ok()?,
                    device: tie.device.clone()?,
                    delete_on_termination: tie.delete_on_termination == Some(true),
                    attach_time: tie.attach_time.unwrap_or(self.call.now),
                })
            });
            let number = |it: Option<i32>| it.and_then(|it| u32::try_from(it).ok());
            let zone = it.availability_zone.clone().unwrap_or_default();
            self.put(
                "Volumes",
                Volume {
                    id,
                    size: number(it.size).unwrap_or(ROOT_GIB),
                    volume_type: it.volume_type.clone().unwrap_or("gp3".into()),
                    iops: number(it.iops),
                    throughput: number(it.throughput),
                    encrypted: it.encrypted == Some(true),
                    availability_zone: self.place.zone(&zone),
                    snapshot_id: it.snapshot_id.as_deref().and_then(|it| it.parse().ok()),
                    attachment,
                    auto_enable_io: false,
                    kms_key_id: it.kms_key_id.clone(),
                    modification: None,
                    created: it.create_time.unwrap_or(self.call.now),
                    tags: tags(&it.tags),
                },
            );
        }
        let all: Vec<_> = self.document.instances().map(|(_, it)| it).collect();
        for it in all {
            let Some(id) = it.instance_id.as_ref().filter(|id| self.has::<Instance>(id)) else {
                continue;
            };
            let Ok(instance) = id.parse::<InstanceId>() else { continue };
            for mapping in &it.block_device_mappings {
                let ebs = mapping.ebs.clone().unwrap_or_default();
                let Some(volume) = self.need::<VolumeId>(id, "VolumeId", &ebs.volume_id) else {
                    continue;
                };
                if self.has::<Volume>(volume.as_str()) {
                    continue;
                }
                let device = mapping.device_name.clone().unwrap_or(ROOT_DEVICE.into());
                let attachment = VolumeAttachment {
                    instance_id: instance.clone(),
                    device,
                    delete_on_termination: ebs.delete_on_termination == Some(true),
                    attach_time: ebs.attach_time.unwrap_or(self.call.now),
                };
                self.plain_volume(volume, attachment);
            }
            self.root_volume(&instance);
        }
    }

    /// An instance boots from its root volume; who has none, or only one of another device, gets one.
    fn root_volume(&mut self, id: &InstanceId) {
        let Some(found) = self.tx.find::<Instance>(&self.call.scope, id.as_str()).cloned() else {
            return;
        };
        if instance::volumes(self.tx, &found).is_empty() {
            self.note(format!("{id}: it has no volume in the data, and here one of its own"));
            let attachment = VolumeAttachment {
                instance_id: id.clone(),
                device: found.root_device_name.clone(),
                delete_on_termination: true,
                attach_time: found.launch_time,
            };
            self.plain_volume(VolumeId::new(self.call.random()), attachment);
        }
    }

    fn plain_volume(&mut self, id: VolumeId, attachment: VolumeAttachment) {
        let instance = self.tx.find::<Instance>(&self.call.scope, attachment.instance_id.as_str());
        let zone = instance.map(|it| it.availability_zone.clone()).unwrap_or_default();
        self.put(
            "Volumes",
            Volume {
                id,
                size: ROOT_GIB,
                volume_type: "gp3".into(),
                iops: Some(3000),
                throughput: Some(125),
                encrypted: false,
                availability_zone: zone,
                snapshot_id: None,
                created: attachment.attach_time,
                attachment: Some(attachment),
                auto_enable_io: false,
                kms_key_id: None,
                modification: None,
                tags: Tags::new(),
            },
        );
    }
}

fn metadata_options(it: &ec2::Instance) -> MetadataOptions {
    let options = it.metadata_options.clone().unwrap_or_default();
    let hops = options.http_put_response_hop_limit.and_then(|it| u8::try_from(it).ok());
    MetadataOptions {
        tokens_required: is(&options.http_tokens, "required"),
        hop_limit: hops.filter(|it| (1..=64).contains(it)).unwrap_or(1),
        enabled: !is(&options.http_endpoint, "disabled"),
        ipv6: is(&options.http_protocol_ipv6, "enabled"),
        tags: is(&options.instance_metadata_tags, "enabled"),
    }
}
