# Task 1: the VPC, four subnets in two zones, and their routes.

locals {
  public_subnets = {
    IMD-PUBLIC-A = { cidr = "10.1.1.0/24", zone = "${var.region}a" }
    IMD-PUBLIC-B = { cidr = "10.1.2.0/24", zone = "${var.region}c" }
  }
  private_subnets = {
    IMD-PRIVATE-A = { cidr = "10.1.11.0/24", zone = "${var.region}a" }
    IMD-PRIVATE-B = { cidr = "10.1.12.0/24", zone = "${var.region}c" }
  }
}

resource "aws_vpc" "this" {
  cidr_block           = "10.1.0.0/16"
  enable_dns_hostnames = true

  tags = { Name = "IMD-VPC" }
}

resource "aws_subnet" "public" {
  for_each = local.public_subnets

  vpc_id            = aws_vpc.this.id
  cidr_block        = each.value.cidr
  availability_zone = each.value.zone

  tags = { Name = each.key }
}

resource "aws_subnet" "private" {
  for_each = local.private_subnets

  vpc_id            = aws_vpc.this.id
  cidr_block        = each.value.cidr
  availability_zone = each.value.zone

  tags = { Name = each.key }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "IMD-IGW" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "PUBLIC-RT" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "PRIVATE-RT" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}
