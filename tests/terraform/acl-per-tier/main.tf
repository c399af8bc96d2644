# A network ACL for each tier, its entries inline or each for itself.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "us-west-2"
}

module "vpc" {
  source = "../modules/vpc"

  name             = "tiers"
  cidr             = "10.40.0.0/16"
  azs              = ["us-west-2a", "us-west-2b"]
  public_subnets   = ["10.40.1.0/24", "10.40.2.0/24"]
  private_subnets  = ["10.40.11.0/24", "10.40.12.0/24"]
  database_subnets = ["10.40.21.0/24", "10.40.22.0/24"]
}

locals {
  public_inbound = [
    { rule_number = 100, action = "allow", from_port = 80, to_port = 80, protocol = "tcp" },
    { rule_number = 110, action = "allow", from_port = 443, to_port = 443, protocol = "tcp" },
    { rule_number = 120, action = "deny", from_port = 22, to_port = 22, protocol = "tcp" },
    { rule_number = 130, action = "allow", from_port = 1024, to_port = 65535, protocol = "tcp" },
  ]
}

resource "aws_network_acl" "public" {
  vpc_id     = module.vpc.vpc_id
  subnet_ids = module.vpc.public_subnets
  tags       = { Name = "public" }
}

resource "aws_network_acl_rule" "public_inbound" {
  count = length(local.public_inbound)

  network_acl_id = aws_network_acl.public.id
  rule_number    = local.public_inbound[count.index].rule_number
  rule_action    = local.public_inbound[count.index].action
  from_port      = local.public_inbound[count.index].from_port
  to_port        = local.public_inbound[count.index].to_port
  protocol       = local.public_inbound[count.index].protocol
  cidr_block     = "0.0.0.0/0"
}

resource "aws_network_acl_rule" "public_icmp" {
  network_acl_id = aws_network_acl.public.id
  rule_number    = 140
  rule_action    = "allow"
  protocol       = "icmp"
  icmp_type      = 8
  icmp_code      = -1
  cidr_block     = "10.40.0.0/16"
}

resource "aws_network_acl_rule" "public_outbound" {
  network_acl_id = aws_network_acl.public.id
  egress         = true
  rule_number    = 100
  rule_action    = "allow"
  protocol       = -1
  cidr_block     = "0.0.0.0/0"
}

resource "aws_network_acl" "private" {
  vpc_id = module.vpc.vpc_id
  tags   = { Name = "private" }

  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "tcp"
    from_port  = 8080
    to_port    = 8080
    cidr_block = "10.40.0.0/20"
  }
  ingress {
    rule_no    = 200
    action     = "allow"
    protocol   = "udp"
    from_port  = 53
    to_port    = 53
    cidr_block = "10.40.0.0/16"
  }
  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }
}

resource "aws_network_acl_association" "private" {
  count          = 2
  network_acl_id = aws_network_acl.private.id
  subnet_id      = module.vpc.private_subnets[count.index]
}

resource "aws_network_acl" "database" {
  vpc_id     = module.vpc.vpc_id
  subnet_ids = module.vpc.database_subnets
  tags       = { Name = "database" }

  ingress {
    rule_no    = 100
    action     = "allow"
    protocol   = "6"
    from_port  = 5432
    to_port    = 5432
    cidr_block = "10.40.11.0/24"
  }
  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "tcp"
    from_port  = 1024
    to_port    = 65535
    cidr_block = "10.40.0.0/16"
  }
}
