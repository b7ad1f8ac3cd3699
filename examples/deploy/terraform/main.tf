# A durable order workflow with an approval function, alarms and least-privilege roles.
# Build the package first: `make -C ../../.. package` writes build/orders.zip.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25" # the first version with durable_config
    }
  }
}

variable "package" {
  description = "Zip file with the handlers and their dependencies."
  type        = string
  default     = "../../../build/orders.zip"
}

variable "telemetry_layer" {
  description = "ARN of the AWSOpenTelemetryDistroPython layer of this region, for spans in X-Ray. Null turns spans off."
  type        = string
  default     = null
}

variable "otlp_endpoint" {
  description = "Address of Jaeger or a different OTLP collector. Null sends nothing. Needs a package with the extra: `build.py package --otlp`."
  type        = string
  default     = null
}

variable "alarm_topic" {
  description = "ARN of an SNS topic that receives alarms. Null creates none."
  type        = string
  default     = null
}

locals {
  alarm_actions = var.alarm_topic == null ? [] : [var.alarm_topic]
  telemetry     = var.telemetry_layer == null ? {} : { AWS_LAMBDA_EXEC_WRAPPER = "/opt/otel-instrument" }
  otlp          = var.otlp_endpoint == null ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint }
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "lambda" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_sns_topic" "approvals" {
  name              = "order-approvals"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_iam_role" "process_order" {
  name               = "process-order"
  assume_role_policy = data.aws_iam_policy_document.lambda.json
}

# logs, checkpoints and state
resource "aws_iam_role_policy_attachment" "durable" {
  role       = aws_iam_role.process_order.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaBasicDurableExecutionRolePolicy"
}

# spans
resource "aws_iam_role_policy_attachment" "spans" {
  count      = var.telemetry_layer == null ? 0 : 1
  role       = aws_iam_role.process_order.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"
}

resource "aws_iam_role_policy" "publish" {
  role = aws_iam_role.process_order.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sns:Publish", Resource = aws_sns_topic.approvals.arn }]
  })
}

resource "aws_cloudwatch_log_group" "process_order" {
  name              = "/aws/lambda/process-order"
  retention_in_days = 30
}

resource "aws_lambda_function" "process_order" {
  function_name    = "process-order"
  role             = aws_iam_role.process_order.arn
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  handler          = "orders.process_order"
  runtime          = "python3.13"
  architectures    = ["arm64"]
  memory_size      = 512 # the default of 128 MB is too small to import boto3 quickly
  timeout          = 60  # of one invocation, in seconds
  publish          = true
  layers           = var.telemetry_layer == null ? [] : [var.telemetry_layer]

  durable_config {
    execution_timeout = 604800 # of the whole execution: 7 days, in seconds
    retention_period  = 14     # of its history, in days
  }

  environment {
    variables = merge(
      {
        APPROVAL_TOPIC     = aws_sns_topic.approvals.arn
        DURABLE_TRACE_VIEW = "invocation" # each invocation sends its own spans
      },
      local.telemetry,
      local.otlp,
    )
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.process_order.name
  }

  tracing_config {
    mode = var.telemetry_layer == null ? "PassThrough" : "Active"
  }
}

# Executions stay with the version that they started on; callers use the alias.
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.process_order.function_name
  function_version = aws_lambda_function.process_order.version
}

resource "aws_iam_role" "approvals" {
  name               = "order-approvals"
  assume_role_policy = data.aws_iam_policy_document.lambda.json
}

resource "aws_iam_role_policy_attachment" "approvals_logs" {
  role       = aws_iam_role.approvals.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_role_policy" "complete_callbacks" {
  role = aws_iam_role.approvals.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "lambda:SendDurableExecutionCallbackSuccess"
      Resource = "${aws_lambda_function.process_order.arn}:*"
    }]
  })
}

resource "aws_lambda_function" "approvals" {
  function_name    = "order-approvals"
  role             = aws_iam_role.approvals.arn
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  handler          = "approvals.handler"
  runtime          = "python3.13"
  architectures    = ["arm64"]
  memory_size      = 512
  timeout          = 10
}

resource "aws_lambda_function_url" "approvals" {
  function_name      = aws_lambda_function.approvals.function_name
  authorization_type = "AWS_IAM"
}

# For the role that runs `durable-debug gate` before the alias shifts.
resource "aws_iam_policy" "gate" {
  name = "order-gate"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = [
        "lambda:ListDurableExecutionsByFunction",
        "lambda:GetDurableExecution",
        "lambda:GetDurableExecutionHistory",
      ]
      Resource = [aws_lambda_function.process_order.arn, "${aws_lambda_function.process_order.arn}:*"]
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "failed_invocations" {
  alarm_name          = "process-order-failed-invocations"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.process_order.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 5
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "failed_executions" {
  alarm_name          = "process-order-failed-executions"
  namespace           = "AWS/Lambda"
  metric_name         = "DurableExecutionFailed"
  dimensions          = { FunctionName = aws_lambda_function.process_order.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
}

# Stuck until their time limit; `durable-debug explain` says what they waited for.
resource "aws_cloudwatch_metric_alarm" "timed_out_executions" {
  alarm_name          = "process-order-timed-out-executions"
  namespace           = "AWS/Lambda"
  metric_name         = "DurableExecutionTimedOut"
  dimensions          = { FunctionName = aws_lambda_function.process_order.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
}

# `durable_execution` writes one line for a divergence; the filter turns it into a metric.
resource "aws_cloudwatch_log_metric_filter" "divergences" {
  name           = "process-order-divergences"
  log_group_name = aws_cloudwatch_log_group.process_order.name
  pattern        = "\"Nondeterminism in\""

  metric_transformation {
    namespace     = "Orders"
    name          = "Divergences"
    value         = "1"
    default_value = "0"
  }
}

# A deployment leaves the recorded path of running executions: roll the alias back.
resource "aws_cloudwatch_metric_alarm" "diverged" {
  alarm_name          = "process-order-diverged"
  namespace           = "Orders"
  metric_name         = "Divergences"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
}

output "function" {
  description = "What to invoke; durable functions are invoked by alias or version."
  value       = aws_lambda_alias.live.arn
}

output "approvals" {
  description = "Address of the approval function; requests are signed with IAM."
  value       = aws_lambda_function_url.approvals.function_url
}
