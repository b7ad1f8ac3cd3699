"""The order workflow as a CDK app.

Build the package first: `make package` in the root of the repository writes `build/orders.zip`. Then, in this folder:
`pip install aws-cdk-lib && cdk synth --app "python app.py"`. Context: `-c telemetry_layer=ARN` for spans in X-Ray,
`-c otlp_endpoint=URL` for Jaeger or a different collector, `-c alarm_topic=ARN` for alarms.
"""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

PACKAGE = Path(__file__).resolve().parents[3] / "build" / "orders.zip"


class Orders(cdk.Stack):
    """A durable order workflow with an approval function, alarms and least-privilege roles.

    Args:
        scope: The app.
        name: Name of the stack.
        code: Archive with the handlers and their dependencies, as `make package` builds it.
        telemetry_layer: ARN of the AWSOpenTelemetryDistroPython layer of this region, for spans in X-Ray.
        otlp_endpoint: Address of Jaeger or a different OTLP collector. Needs a package with the extra: `build.py package --otlp`.
        alarm_topic: ARN of an SNS topic that receives alarms.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        code: Path = PACKAGE,
        telemetry_layer: str | None = None,
        otlp_endpoint: str | None = None,
        alarm_topic: str | None = None,
    ) -> None:
        super().__init__(scope, name)
        topic = sns.Topic(self, "ApprovalTopic")
        package = lambda_.Code.from_asset(str(code))
        environment = {
            "APPROVAL_TOPIC": topic.topic_arn,
            "DURABLE_TRACE_VIEW": "invocation",  # each invocation sends its own spans
        }
        layers = []
        if telemetry_layer is not None:
            environment["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/otel-instrument"
            layers = [lambda_.LayerVersion.from_layer_version_arn(self, "Telemetry", telemetry_layer)]
        if otlp_endpoint is not None:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp_endpoint
        self.logs = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        self.function = lambda_.Function(
            self,
            "ProcessOrder",
            code=package,
            handler="orders.process_order",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=512,  # the default of 128 MB is too small to import boto3 quickly
            timeout=cdk.Duration.seconds(60),  # of one invocation
            tracing=lambda_.Tracing.ACTIVE if layers else lambda_.Tracing.PASS_THROUGH,
            layers=layers,
            durable_config=lambda_.DurableConfig(
                execution_timeout=cdk.Duration.days(7), retention_period=cdk.Duration.days(14)
            ),
            environment=environment,
            log_group=self.logs,
            logging_format=lambda_.LoggingFormat.JSON,
        )
        topic.grant_publish(self.function)
        policy = "service-role/AWSLambdaBasicDurableExecutionRolePolicy"
        role = self.function.role
        if role is not None:
            role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(policy))
        lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
        self._add_approvals(package)
        self._add_gate_policy()
        self._add_alarms(alarm_topic)

    def _add_approvals(self, package: lambda_.Code) -> None:
        approvals = lambda_.Function(
            self,
            "Approvals",
            code=package,
            handler="approvals.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=512,
            timeout=cdk.Duration.seconds(10),
        )
        approvals.add_to_role_policy(
            iam.PolicyStatement(
                actions=["lambda:SendDurableExecutionCallbackSuccess"], resources=[f"{self.function.function_arn}:*"]
            )
        )
        address = approvals.add_function_url(auth_type=lambda_.FunctionUrlAuthType.AWS_IAM)
        cdk.CfnOutput(self, "ApprovalsUrl", value=address.url)

    def _add_gate_policy(self) -> None:
        iam.ManagedPolicy(
            self,
            "GatePolicy",
            description="Reads the running executions, for durable-debug gate.",
            statements=[
                iam.PolicyStatement(
                    actions=[
                        "lambda:ListDurableExecutionsByFunction",
                        "lambda:GetDurableExecution",
                        "lambda:GetDurableExecutionHistory",
                    ],
                    resources=[self.function.function_arn, f"{self.function.function_arn}:*"],
                )
            ],
        )

    def _add_alarms(self, topic: str | None) -> None:
        # `durable_execution` writes one line for a divergence; the filter turns it into a metric.
        divergences = self.logs.add_metric_filter(
            "Divergences",
            filter_pattern=logs.FilterPattern.literal('"Nondeterminism in"'),
            metric_namespace="Orders",
            metric_name="Divergences",
            default_value=0,
        )
        period = cdk.Duration.minutes(5)
        failed = self.function.metric("DurableExecutionFailed", statistic="Sum", period=period)
        timed_out = self.function.metric("DurableExecutionTimedOut", statistic="Sum", period=period)
        metrics = {
            "FailedInvocations": (self.function.metric_errors(period=period), 5),
            "FailedExecutions": (failed, 1),
            "TimedOutExecutions": (timed_out, 1),  # stuck until their time limit
            "Diverged": (divergences.metric(statistic="Sum", period=period), 1),  # roll the alias back
        }
        for name, (metric, threshold) in metrics.items():
            alarm = cloudwatch.Alarm(
                self,
                name,
                metric=metric,
                threshold=threshold,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            if topic is not None:
                alarm.add_alarm_action(actions.SnsAction(sns.Topic.from_topic_arn(self, f"{name}Topic", topic)))


if __name__ == "__main__":
    app = cdk.App()
    given = {name: app.node.try_get_context(name) for name in ("telemetry_layer", "otlp_endpoint", "alarm_topic")}
    Orders(app, "Orders", **given)
    app.synth()
