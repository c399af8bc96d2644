# More addresses for a VPC that has run out of them.

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

module "vpc" {
  source = "../modules/vpc"

  name                  = "secondary"
  cidr                  = "10.60.0.0/24"
  secondary_cidr_blocks = ["10.61.0.0/16", "100.64.0.0/16"]
  azs                   = ["ap-northeast-2a", "ap-northeast-2c"]
  public_subnets        = ["10.60.0.0/26", "10.60.0.64/26"]
  private_subnets       = ["10.61.0.0/20", "100.64.0.0/18"]
  enable_nat_gateway    = true
  single_nat_gateway    = true
}
