#!/bin/sh
# Lists the instances of the region. Options of the AWS CLI may follow, as --region us-east-1.
exec aws ec2 describe-instances --output table --query 'Reservations[].Instances[].{
    "1 Name": Tags[?Key==`Name`] | [0].Value,
    "2 Id": InstanceId,
    "3 Type": InstanceType,
    "4 Zone": Placement.AvailabilityZone,
    "5 Private": PrivateIpAddress,
    "6 Public": PublicIpAddress,
    "7 State": State.Name
}' "$@"
