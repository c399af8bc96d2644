# Four networks as people build them, with what must and what must not be reachable in each, asked
# of Reachability Analyzer. `broken` takes one thing away, as a mistake would.

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

variable "broken" {
  type    = string
  default = "nothing"

  validation {
    condition     = contains(["nothing", "group", "route", "acl"], var.broken)
    error_message = "What is broken is nothing, a group, a route or an ACL."
  }
}

data "aws_ssm_parameter" "al2023" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

locals {
  ami = data.aws_ssm_parameter.al2023.insecure_value
}

# The lab: a public subnet with a web server, a private one behind a NAT gateway.

resource "aws_vpc" "lab" {
  cidr_block = "10.1.0.0/16"
  tags       = { Name = "IMD-VPC" }
}

resource "aws_subnet" "public" {
  vpc_id            = aws_vpc.lab.id
  cidr_block        = "10.1.1.0/24"
  availability_zone = "ap-northeast-2a"
}

resource "aws_subnet" "private" {
  vpc_id            = aws_vpc.lab.id
  cidr_block        = "10.1.11.0/24"
  availability_zone = "ap-northeast-2a"
}

resource "aws_internet_gateway" "lab" {
  vpc_id = aws_vpc.lab.id
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.lab.id
}

resource "aws_route" "public" {
  count = var.broken == "route" ? 0 : 1

  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.lab.id
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  domain     = "vpc"
  depends_on = [aws_internet_gateway.lab]
}

resource "aws_nat_gateway" "lab" {
  subnet_id     = aws_subnet.public.id
  allocation_id = aws_eip.nat.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.lab.id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.lab.id
  }
}

resource "aws_route_table_association" "private" {
  subnet_id      = aws_subnet.private.id
  route_table_id = aws_route_table.private.id
}

# An ACL remembers nothing: answers need an entry of their own.
resource "aws_network_acl" "public" {
  vpc_id     = aws_vpc.lab.id
  subnet_ids = [aws_subnet.public.id]

  ingress {
    rule_no    = 100
    protocol   = "-1"
    action     = "allow"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }

  egress {
    rule_no    = 100
    protocol   = "-1"
    action     = var.broken == "acl" ? "deny" : "allow"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }
}

resource "aws_security_group" "web" {
  name   = "web"
  vpc_id = aws_vpc.lab.id
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  count = var.broken == "group" ? 0 : 1

  security_group_id = aws_security_group.web.id
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "web" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# Three tiers by groups: the internet to web, web to app, app to database, and nothing else.

resource "aws_security_group" "app" {
  name   = "app"
  vpc_id = aws_vpc.lab.id

  ingress {
    from_port       = 8080
    to_port         = 8080
    protocol        = "tcp"
    security_groups = [aws_security_group.web.id]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "database" {
  name   = "database"
  vpc_id = aws_vpc.lab.id

  ingress {
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [aws_security_group.app.id]
  }
}

resource "aws_instance" "web" {
  ami                         = local.ami
  instance_type               = "t3.micro"
  subnet_id                   = aws_subnet.public.id
  vpc_security_group_ids      = [aws_security_group.web.id]
  associate_public_ip_address = true
  tags                        = { Name = "PUBLIC-01" }
}

resource "aws_instance" "app" {
  ami                    = local.ami
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.private.id
  vpc_security_group_ids = [aws_security_group.app.id]
}

resource "aws_instance" "database" {
  ami                    = local.ami
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.private.id
  vpc_security_group_ids = [aws_security_group.database.id]
}

# Private subnets only: AWS through an endpoint, the internet not at all.

resource "aws_vpc" "closed" {
  cidr_block = "10.30.0.0/16"
}

resource "aws_subnet" "closed" {
  vpc_id            = aws_vpc.closed.id
  cidr_block        = "10.30.1.0/24"
  availability_zone = "ap-northeast-2a"
}

resource "aws_security_group" "closed" {
  name   = "closed"
  vpc_id = aws_vpc.closed.id

  ingress {
    from_port   = 443
    to_port     = 443
    protocol    = "tcp"
    cidr_blocks = [aws_vpc.closed.cidr_block]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_vpc_endpoint" "ssm" {
  vpc_id             = aws_vpc.closed.id
  service_name       = "com.amazonaws.ap-northeast-2.ssm"
  vpc_endpoint_type  = "Interface"
  subnet_ids         = [aws_subnet.closed.id]
  security_group_ids = [aws_security_group.closed.id]
}

resource "aws_instance" "closed" {
  ami                    = local.ami
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.closed.id
  vpc_security_group_ids = [aws_security_group.closed.id]
}

# Two dual-stack VPCs that peer: the analyzer looks at IPv4 (RA-1).

resource "aws_vpc" "peer" {
  for_each = { left = "10.70.0.0/16", right = "10.71.0.0/16" }

  cidr_block                       = each.value
  assign_generated_ipv6_cidr_block = true
}

resource "aws_subnet" "peer" {
  for_each = aws_vpc.peer

  vpc_id            = each.value.id
  cidr_block        = cidrsubnet(each.value.cidr_block, 8, 1)
  ipv6_cidr_block   = cidrsubnet(each.value.ipv6_cidr_block, 8, 1)
  availability_zone = "ap-northeast-2a"
}

resource "aws_vpc_peering_connection" "this" {
  vpc_id      = aws_vpc.peer["left"].id
  peer_vpc_id = aws_vpc.peer["right"].id
  auto_accept = true
}

resource "aws_route" "peer" {
  for_each = var.broken == "route" ? { left = "right" } : { left = "right", right = "left" }

  route_table_id            = aws_vpc.peer[each.key].main_route_table_id
  destination_cidr_block    = aws_vpc.peer[each.value].cidr_block
  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
}

resource "aws_security_group" "peer" {
  for_each = aws_vpc.peer

  name   = "peer"
  vpc_id = each.value.id

  ingress {
    from_port   = 5432
    to_port     = 5432
    protocol    = "tcp"
    cidr_blocks = ["10.70.0.0/15"]
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_instance" "peer" {
  for_each = aws_subnet.peer

  ami                    = local.ami
  instance_type          = "t3.micro"
  subnet_id              = each.value.id
  ipv6_address_count     = 1
  vpc_security_group_ids = [aws_security_group.peer[each.key].id]
}

# What is asked.

locals {
  paths = {
    internet-to-web      = [aws_internet_gateway.lab.id, aws_instance.web.id, 80]
    internet-to-ssh      = [aws_internet_gateway.lab.id, aws_instance.web.id, 22]
    internet-to-app      = [aws_internet_gateway.lab.id, aws_instance.app.id, 8080]
    web-to-app           = [aws_instance.web.id, aws_instance.app.id, 8080]
    web-to-database      = [aws_instance.web.id, aws_instance.database.id, 5432]
    app-to-database      = [aws_instance.app.id, aws_instance.database.id, 5432]
    app-to-internet      = [aws_instance.app.id, aws_internet_gateway.lab.id, 443]
    closed-to-endpoint   = [aws_instance.closed.id, aws_vpc_endpoint.ssm.id, 443]
    endpoint-to-closed   = [aws_vpc_endpoint.ssm.id, aws_instance.closed.id, 443]
    left-to-right        = [aws_instance.peer["left"].id, aws_instance.peer["right"].id, 5432]
    right-to-left-by-ssh = [aws_instance.peer["right"].id, aws_instance.peer["left"].id, 22]
    closed-to-right      = [aws_instance.closed.id, aws_instance.peer["right"].id, 5432]
  }
}

resource "aws_ec2_network_insights_path" "this" {
  for_each = local.paths

  source           = each.value[0]
  destination      = each.value[1]
  destination_port = each.value[2]
  protocol         = "tcp"
  tags             = { Name = each.key }
}

# An analysis speaks of its moment: each change of the network asks anew.
resource "terraform_data" "network" {
  input = var.broken

  depends_on = [
    aws_network_acl.public,
    aws_route.peer,
    aws_route.public,
    aws_route_table_association.private,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.web,
    aws_vpc_security_group_ingress_rule.web,
  ]
}

resource "aws_ec2_network_insights_analysis" "this" {
  for_each = aws_ec2_network_insights_path.this

  network_insights_path_id = each.value.id

  lifecycle {
    replace_triggered_by = [terraform_data.network]
  }
}

output "found" {
  value = { for name, it in aws_ec2_network_insights_analysis.this : name => it.path_found }
}

output "codes" {
  value = {
    for name, it in aws_ec2_network_insights_analysis.this :
    name => [for explanation in it.explanations : explanation.explanation_code]
  }
}

output "way_to_web" {
  value = [
    for component in aws_ec2_network_insights_analysis.this["internet-to-web"].forward_path_components :
    component.component[0].id
  ]
}

output "web" {
  value = aws_instance.web.id
}

output "gateway" {
  value = aws_internet_gateway.lab.id
}
