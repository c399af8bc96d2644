# Three tiers in three zones, with a NAT gateway a zone, and an instance in each tier.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "eu-west-1"

  default_tags {
    tags = {
      Environment = "prod"
      Owner       = "platform"
    }
  }
}

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

data "aws_ssm_parameter" "al2023" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

locals {
  azs  = slice(data.aws_availability_zones.available.names, 0, 3)
  cidr = "10.0.0.0/16"
}

module "vpc" {
  source = "../modules/vpc"

  name               = "three-tier"
  cidr               = local.cidr
  azs                = local.azs
  public_subnets     = [for k, v in local.azs : cidrsubnet(local.cidr, 8, k)]
  private_subnets    = [for k, v in local.azs : cidrsubnet(local.cidr, 8, k + 10)]
  database_subnets   = [for k, v in local.azs : cidrsubnet(local.cidr, 8, k + 20)]
  enable_nat_gateway = true
  tags               = { Terraform = "true" }
}

resource "aws_security_group" "web" {
  name_prefix = "web-"
  description = "web tier"
  vpc_id      = module.vpc.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.web.id
  description       = each.key
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"

  tags = { Name = each.key }
}

resource "aws_vpc_security_group_egress_rule" "web" {
  security_group_id            = aws_security_group.web.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
  referenced_security_group_id = aws_security_group.app.id
}

resource "aws_security_group" "app" {
  name        = "app"
  description = "app tier"
  vpc_id      = module.vpc.vpc_id

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group_rule" "app_from_web" {
  type                     = "ingress"
  security_group_id        = aws_security_group.app.id
  source_security_group_id = aws_security_group.web.id
  protocol                 = "tcp"
  from_port                = 8080
  to_port                  = 8080
}

resource "aws_ec2_managed_prefix_list" "offices" {
  name           = "offices"
  address_family = "IPv4"
  max_entries    = 5

  entry {
    cidr        = "203.0.113.0/24"
    description = "Seoul"
  }
  entry {
    cidr        = "198.51.100.0/24"
    description = "Dublin"
  }
}

resource "aws_security_group" "database" {
  name        = "database"
  description = "database tier"
  vpc_id      = module.vpc.vpc_id

  ingress {
    description     = "from the app tier"
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [aws_security_group.app.id]
    self            = true
  }
  ingress {
    description     = "from the offices"
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    prefix_list_ids = [aws_ec2_managed_prefix_list.offices.id]
  }
}

resource "aws_instance" "web" {
  count = 2

  ami                    = data.aws_ssm_parameter.al2023.insecure_value
  instance_type          = "t3.small"
  subnet_id              = module.vpc.public_subnets[count.index]
  vpc_security_group_ids = [aws_security_group.web.id]
  monitoring             = true
  ebs_optimized          = true

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
    instance_metadata_tags      = "enabled"
  }

  root_block_device {
    volume_type           = "gp3"
    volume_size           = 20
    encrypted             = false
    delete_on_termination = true
    tags                  = { Name = "web-${count.index}-root" }
  }

  tags        = { Name = "web-${count.index}" }
  volume_tags = null
}

resource "aws_network_interface" "app" {
  subnet_id       = module.vpc.private_subnets[0]
  security_groups = [aws_security_group.app.id]
  private_ips     = ["10.0.10.50", "10.0.10.51"]
  description     = "the app's own address"

  tags = { Name = "app" }
}

resource "aws_instance" "app" {
  ami           = data.aws_ssm_parameter.al2023.insecure_value
  instance_type = "t3.small"

  network_interface {
    network_interface_id = aws_network_interface.app.id
    device_index         = 0
  }

  user_data_base64            = base64encode("#!/bin/sh\necho hello\n")
  user_data_replace_on_change = true

  tags = { Name = "app" }
}

resource "aws_eip" "web" {
  domain   = "vpc"
  instance = aws_instance.web[0].id
  tags     = { Name = "web" }
}

output "account" {
  value = data.aws_caller_identity.current.account_id
}

output "nat_public_ips" {
  value = module.vpc.nat_public_ips
}
