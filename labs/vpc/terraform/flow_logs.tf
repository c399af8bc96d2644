# Task 7: the flow log of the VPC.

data "aws_iam_policy_document" "assume_flow_logs" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "flow_logs" {
  statement {
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogGroups",
      "logs:DescribeLogStreams",
      "logs:PutLogEvents",
    ]
    resources = ["*"]
  }
}

resource "aws_cloudwatch_log_group" "flow_logs" {
  count = var.flow_log ? 1 : 0

  name              = "IMD-VPCFlow"
  retention_in_days = 7
}

resource "aws_iam_role" "flow_logs" {
  count = var.flow_log ? 1 : 0

  name               = "flowlogsRole"
  assume_role_policy = data.aws_iam_policy_document.assume_flow_logs.json
}

resource "aws_iam_role_policy" "flow_logs" {
  count = var.flow_log ? 1 : 0

  name   = "flowlogs"
  role   = aws_iam_role.flow_logs[0].id
  policy = data.aws_iam_policy_document.flow_logs.json
}

resource "aws_flow_log" "this" {
  count = var.flow_log ? 1 : 0

  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  log_destination          = aws_cloudwatch_log_group.flow_logs[0].arn
  iam_role_arn             = aws_iam_role.flow_logs[0].arn
  max_aggregation_interval = 60

  tags = { Name = "IMD-FLOW-LOG" }
}
