# Task 2: five instances.

data "aws_ami" "amazon_linux_2" {
  most_recent = true
  owners      = ["amazon"]

  filter {
    name   = "name"
    values = ["amzn2-ami-hvm-*-x86_64-gp2"]
  }
  filter {
    name   = "virtualization-type"
    values = ["hvm"]
  }
}

resource "aws_key_pair" "lab" {
  key_name   = "IMD-LAB-OPENSSH"
  public_key = file(pathexpand(var.public_key_file))
}

locals {
  subnet_ids = merge(
    { for name, subnet in aws_subnet.public : name => subnet.id },
    { for name, subnet in aws_subnet.private : name => subnet.id },
  )
  instances = {
    PUBLIC-01  = { subnet = "IMD-PUBLIC-A", public = true, group = aws_security_group.public.id }
    PUBLIC-02  = { subnet = "IMD-PUBLIC-B", public = true, group = aws_security_group.public.id }
    PRIVATE-01 = { subnet = "IMD-PRIVATE-A", public = false, group = aws_security_group.private.id }
    PRIVATE-02 = { subnet = "IMD-PRIVATE-B", public = false, group = aws_security_group.private.id }
    BASTION    = { subnet = "IMD-PUBLIC-B", public = true, group = aws_security_group.bastion.id }
  }
}

resource "aws_instance" "this" {
  for_each = local.instances

  ami                         = data.aws_ami.amazon_linux_2.id
  instance_type               = "t2.micro"
  subnet_id                   = local.subnet_ids[each.value.subnet]
  associate_public_ip_address = each.value.public
  vpc_security_group_ids      = [each.value.group]
  key_name                    = aws_key_pair.lab.key_name
  user_data                   = each.key == "BASTION" ? null : file("${path.module}/../user-data.sh")
  iam_instance_profile        = var.session_manager && !each.value.public ? aws_iam_instance_profile.ssm[0].name : null

  root_block_device {
    volume_type = "gp2"
  }

  tags = {
    Name    = each.key
    IMD-EC2 = each.key
  }

  depends_on = [aws_route.internet, aws_route_table_association.public]
}
