# Task 2: the security groups, in the three ways that people write rules. Task 6: the network ACL.

resource "aws_security_group" "public" {
  name        = "IMD-PUB-SG"
  description = "Security Group for IMD-PUB"
  vpc_id      = aws_vpc.this.id

  dynamic "ingress" {
    for_each = toset([22, 80, 443])

    content {
      description = "port ${ingress.value} from anywhere"
      from_port   = ingress.value
      to_port     = ingress.value
      protocol    = "tcp"
      cidr_blocks = ["0.0.0.0/0"]
    }
  }

  dynamic "ingress" {
    for_each = var.icmp_open ? [1] : []

    content {
      description = "ping from anywhere"
      from_port   = -1
      to_port     = -1
      protocol    = "icmp"
      cidr_blocks = ["0.0.0.0/0"]
    }
  }

  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }

  tags = { Name = "IMD-PUB-SG" }
}

resource "aws_security_group" "bastion" {
  name        = "IMD-BASTION-SG"
  description = "Security Group for BASTION"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "IMD-BASTION-SG" }
}

resource "aws_vpc_security_group_ingress_rule" "bastion_ssh" {
  security_group_id = aws_security_group.bastion.id
  description       = "SSH from anywhere"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "bastion" {
  security_group_id = aws_security_group.bastion.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "private" {
  name        = "IMD-PRI-SG"
  description = "Security Group for IMD-PRI"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "IMD-PRI-SG" }
}

resource "aws_security_group_rule" "private_ssh" {
  type                     = "ingress"
  security_group_id        = aws_security_group.private.id
  description              = "SSH from the bastion"
  protocol                 = "tcp"
  from_port                = 22
  to_port                  = 22
  source_security_group_id = aws_security_group.bastion.id
}

resource "aws_security_group_rule" "private_icmp" {
  type              = "ingress"
  security_group_id = aws_security_group.private.id
  protocol          = "icmp"
  from_port         = -1
  to_port           = -1
  cidr_blocks       = [aws_vpc.this.cidr_block]
}

resource "aws_security_group_rule" "private_egress" {
  type              = "egress"
  security_group_id = aws_security_group.private.id
  protocol          = "-1"
  from_port         = 0
  to_port           = 0
  cidr_blocks       = ["0.0.0.0/0"]
}

resource "aws_network_acl" "private" {
  count = var.network_acl ? 1 : 0

  vpc_id     = aws_vpc.this.id
  subnet_ids = [for subnet in aws_subnet.private : subnet.id]

  ingress {
    rule_no    = 10
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = var.network_acl_source
  }

  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }

  tags = { Name = "IMD-ACL" }
}
