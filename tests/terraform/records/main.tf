# What clients keep beside the network: a launch template with an instance of it, a volume, a VPN with its
# two ends, a transit gateway with a table of its own, an endpoint service, VPC Block Public Access, and parameters.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  region = "ap-northeast-2"
}

data "aws_ami" "amazon_linux" {
  most_recent = true
  owners      = ["amazon"]

  filter {
    name   = "name"
    values = ["amzn2-ami-hvm-*-x86_64-gp2"]
  }
}

resource "aws_vpc" "main" {
  cidr_block = "10.1.0.0/16"

  tags = { Name = "main" }
}

resource "aws_subnet" "a" {
  vpc_id            = aws_vpc.main.id
  cidr_block        = "10.1.1.0/24"
  availability_zone = "ap-northeast-2a"
}

resource "aws_launch_template" "web" {
  name                   = "web"
  image_id               = data.aws_ami.amazon_linux.id
  instance_type          = "t3.nano"
  update_default_version = true

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { From = "template" }
  }

  tags = { Name = "web" }
}

resource "aws_instance" "web" {
  subnet_id = aws_subnet.a.id

  launch_template {
    id      = aws_launch_template.web.id
    version = aws_launch_template.web.latest_version
  }

  # The template's tag is on the instance too: the provider would take it away if it were not here.
  tags = { Name = "web", From = "template" }
}

resource "aws_ebs_volume" "data" {
  availability_zone = aws_subnet.a.availability_zone
  size              = 10
  type              = "gp3"

  tags = { Name = "data" }
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.data.id
  instance_id = aws_instance.web.id
}

resource "aws_ebs_snapshot" "data" {
  volume_id   = aws_ebs_volume.data.id
  description = "nightly"
}

resource "aws_vpn_gateway" "main" {
  vpc_id          = aws_vpc.main.id
  amazon_side_asn = 64620

  tags = { Name = "main" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.main.id
}

resource "aws_route" "office" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "192.168.0.0/16"
  gateway_id             = aws_vpn_gateway.main.id
}

resource "aws_vpn_gateway_route_propagation" "private" {
  vpn_gateway_id = aws_vpn_gateway.main.id
  route_table_id = aws_route_table.private.id
}

resource "aws_customer_gateway" "office" {
  bgp_asn     = 65010
  ip_address  = "203.0.113.9"
  type        = "ipsec.1"
  device_name = "office"

  tags = { Name = "office" }
}

resource "aws_vpc_block_public_access_options" "region" {
  internet_gateway_block_mode = "block-bidirectional"
}

resource "aws_vpc_block_public_access_exclusion" "main" {
  vpc_id                          = aws_vpc.main.id
  internet_gateway_exclusion_mode = "allow-bidirectional"

  tags = { Name = "main" }
}

resource "aws_placement_group" "near" {
  name     = "near"
  strategy = "cluster"
}

resource "aws_ec2_subnet_cidr_reservation" "a" {
  subnet_id        = aws_subnet.a.id
  cidr_block       = "10.1.1.128/28"
  reservation_type = "explicit"
}

resource "aws_ebs_encryption_by_default" "on" {
  enabled = true
}

resource "aws_ec2_instance_metadata_defaults" "all" {
  http_tokens = "required"
}

resource "aws_vpn_connection" "office" {
  type                = "ipsec.1"
  customer_gateway_id = aws_customer_gateway.office.id
  vpn_gateway_id      = aws_vpn_gateway.main.id
  static_routes_only  = true

  tunnel1_inside_cidr   = "169.254.44.100/30"
  tunnel1_preshared_key = "a_secret.of.mine"
  tunnel1_ike_versions  = ["ikev2"]

  tags = { Name = "office" }
}

resource "aws_vpn_connection_route" "office" {
  vpn_connection_id      = aws_vpn_connection.office.id
  destination_cidr_block = "192.168.0.0/16"
}

resource "aws_ec2_transit_gateway" "hub" {
  description                     = "hub"
  default_route_table_association = "disable"
  default_route_table_propagation = "disable"

  tags = { Name = "hub" }
}

resource "aws_ec2_transit_gateway_vpc_attachment" "main" {
  transit_gateway_id = aws_ec2_transit_gateway.hub.id
  vpc_id             = aws_vpc.main.id
  subnet_ids         = [aws_subnet.a.id]

  transit_gateway_default_route_table_association = false
  transit_gateway_default_route_table_propagation = false

  tags = { Name = "main" }
}

resource "aws_ec2_transit_gateway_route_table" "spokes" {
  transit_gateway_id = aws_ec2_transit_gateway.hub.id

  tags = { Name = "spokes" }
}

resource "aws_ec2_transit_gateway_route_table_association" "main" {
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.main.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.spokes.id
}

resource "aws_ec2_transit_gateway_route_table_propagation" "main" {
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.main.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.spokes.id
}

resource "aws_ec2_transit_gateway_route" "out" {
  destination_cidr_block         = "0.0.0.0/0"
  transit_gateway_attachment_id  = aws_ec2_transit_gateway_vpc_attachment.main.id
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.spokes.id
}

resource "aws_ec2_transit_gateway_route" "nowhere" {
  destination_cidr_block         = "203.0.113.0/24"
  blackhole                      = true
  transit_gateway_route_table_id = aws_ec2_transit_gateway_route_table.spokes.id
}

resource "aws_vpc_endpoint_service" "api" {
  acceptance_required        = false
  allowed_principals         = ["arn:aws:iam::210987654321:root"]
  network_load_balancer_arns = ["arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/net/front/0123456789abcdef"]

  tags = { Name = "api" }
}

resource "aws_ssm_parameter" "port" {
  name            = "/web/port"
  type            = "String"
  value           = "8080"
  description     = "Where it listens"
  allowed_pattern = "[0-9]+"

  tags = { Name = "port" }
}

resource "aws_ssm_parameter" "zones" {
  name  = "/web/zones"
  type  = "StringList"
  value = "ap-northeast-2a,ap-northeast-2c"
}

resource "aws_ssm_parameter" "password" {
  name  = "/web/password"
  type  = "SecureString"
  value = "of-this-test-alone"
  tier  = "Intelligent-Tiering"
}

resource "aws_ssm_parameter" "image" {
  name      = "/web/image"
  type      = "String"
  data_type = "aws:ec2:image"
  value     = data.aws_ami.amazon_linux.id
}
