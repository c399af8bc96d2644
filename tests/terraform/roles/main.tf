# A role for instances, and the users, groups and policies that people put around it.

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

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy" "ssm" {
  name = "AmazonEC2RoleforSSM"
}

resource "aws_iam_role" "ssm" {
  name               = "IMD-SSM"
  path               = "/lab/"
  description        = "Session Manager"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = { IMD = "lab" }
}

resource "aws_iam_role_policy_attachment" "ssm" {
  role       = aws_iam_role.ssm.name
  policy_arn = data.aws_iam_policy.ssm.arn
}

resource "aws_iam_policy" "logs" {
  name        = "IMD-LOGS"
  description = "Flow logs"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "*"
    }]
  })
  tags = { IMD = "lab" }
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.ssm.name
  policy_arn = aws_iam_policy.logs.arn
}

resource "aws_iam_role_policy" "inline" {
  name = "describe"
  role = aws_iam_role.ssm.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "ec2:Describe*", Resource = "*" }]
  })
}

resource "aws_iam_instance_profile" "ssm" {
  name = "IMD-SSM"
  role = aws_iam_role.ssm.name
}

resource "aws_iam_user" "person" {
  name                 = "person"
  permissions_boundary = aws_iam_policy.logs.arn
}

resource "aws_iam_access_key" "person" {
  user = aws_iam_user.person.name
}

resource "aws_iam_group" "people" {
  name = "people"
}

resource "aws_iam_group_policy_attachment" "people" {
  group      = aws_iam_group.people.name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_user_group_membership" "person" {
  user   = aws_iam_user.person.name
  groups = [aws_iam_group.people.name]
}

data "aws_ami" "linux" {
  owners      = ["amazon"]
  most_recent = true
  filter {
    name   = "name"
    values = ["amzn2-ami-hvm-*"]
  }
}

resource "aws_vpc" "lab" {
  cidr_block = "10.1.0.0/16"
}

resource "aws_subnet" "lab" {
  vpc_id     = aws_vpc.lab.id
  cidr_block = "10.1.1.0/24"
}

resource "aws_instance" "private" {
  ami                  = data.aws_ami.linux.id
  instance_type        = "t2.micro"
  subnet_id            = aws_subnet.lab.id
  iam_instance_profile = aws_iam_instance_profile.ssm.name
}

output "instance" {
  value = aws_instance.private.id
}
