# Two regions of one configuration, with the same addresses in both.

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

provider "aws" {
  alias  = "virginia"
  region = "us-east-1"
}

module "seoul" {
  source = "../modules/vpc"

  name               = "seoul"
  cidr               = "10.80.0.0/16"
  azs                = ["ap-northeast-2a"]
  public_subnets     = ["10.80.0.0/24"]
  private_subnets    = ["10.80.1.0/24"]
  enable_nat_gateway = true
}

module "virginia" {
  source = "../modules/vpc"

  providers = { aws = aws.virginia }

  name               = "virginia"
  cidr               = "10.80.0.0/16"
  azs                = ["us-east-1a"]
  public_subnets     = ["10.80.0.0/24"]
  private_subnets    = ["10.80.1.0/24"]
  enable_nat_gateway = true
}
