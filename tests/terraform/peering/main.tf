# Two VPCs that peer, with names resolved across, and routes to each other.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "ap-northeast-2"
}

module "left" {
  source = "../modules/vpc"

  name            = "left"
  cidr            = "10.70.0.0/16"
  azs             = ["ap-northeast-2a"]
  private_subnets = ["10.70.1.0/24"]
}

module "right" {
  source = "../modules/vpc"

  name            = "right"
  cidr            = "10.71.0.0/16"
  azs             = ["ap-northeast-2c"]
  private_subnets = ["10.71.1.0/24"]
}

resource "aws_vpc_peering_connection" "this" {
  vpc_id      = module.left.vpc_id
  peer_vpc_id = module.right.vpc_id
  auto_accept = true

  accepter {
    allow_remote_vpc_dns_resolution = true
  }
  requester {
    allow_remote_vpc_dns_resolution = true
  }

  tags = { Name = "left-right" }
}

resource "aws_route" "to_right" {
  route_table_id            = module.left.private_route_table_ids[0]
  destination_cidr_block    = module.right.vpc_cidr_block
  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
}

resource "aws_route" "to_left" {
  route_table_id            = module.right.private_route_table_ids[0]
  destination_cidr_block    = module.left.vpc_cidr_block
  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
}
