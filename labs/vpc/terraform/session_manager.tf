# Tasks 4 and 5: the role of the private instances, and the interface endpoint of Session Manager.

data "aws_iam_policy" "ssm" {
  count = var.session_manager ? 1 : 0

  name = "AmazonEC2RoleforSSM"
}

data "aws_iam_policy_document" "assume_ec2" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "ssm" {
  count = var.session_manager ? 1 : 0

  name               = "IMD-SSM-ROLE"
  assume_role_policy = data.aws_iam_policy_document.assume_ec2.json
}

resource "aws_iam_role_policy_attachment" "ssm" {
  count = var.session_manager ? 1 : 0

  role       = aws_iam_role.ssm[0].name
  policy_arn = data.aws_iam_policy.ssm[0].arn
}

resource "aws_iam_instance_profile" "ssm" {
  count = var.session_manager ? 1 : 0

  name = "IMD-SSM-ROLE"
  role = aws_iam_role.ssm[0].name
}

resource "aws_security_group" "ssm" {
  count = var.session_manager ? 1 : 0

  name        = "IMD-SSM-SG"
  description = "Security Group for the ssmmessages endpoint"
  vpc_id      = aws_vpc.this.id

  ingress {
    description = "HTTPS from the VPC"
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = [aws_vpc.this.cidr_block]
  }

  tags = { Name = "IMD-SSM-SG" }
}

data "aws_vpc_endpoint_service" "ssmmessages" {
  count = var.session_manager ? 1 : 0

  service      = "ssmmessages"
  service_type = "Interface"
}

resource "aws_vpc_endpoint" "ssmmessages" {
  count = var.session_manager ? 1 : 0

  vpc_id              = aws_vpc.this.id
  service_name        = data.aws_vpc_endpoint_service.ssmmessages[0].service_name
  vpc_endpoint_type   = "Interface"
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.ssm[0].id]
  private_dns_enabled = true

  tags = { Name = "IMD-SSMMESSAGES" }
}
