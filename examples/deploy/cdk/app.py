"""The order workflow as a CDK app: `pip install aws-cdk-lib && cdk synth --app "python app.py"` in this folder."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

APP = Path(__file__).resolve().parent.parent / "app"


class Orders(cdk.Stack):
    """A durable order workflow with an approval function, alarms and least-privilege roles.

    Args:
        scope: The app.
        name: Name of the stack.
        code: Folder with the built package: the handlers and their dependencies. `make layer` builds the dependencies.
    """

    def __init__(self, scope: Construct, name: str, *, code: Path = APP) -> None:
        super().__init__(scope, name)
        topic = sns.Topic(self, "ApprovalTopic")
        package = lambda_.Code.from_asset(str(code))
        self.function = lambda_.Function(
            self,
            "ProcessOrder",
            code=package,
            handler="orders.process_order",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=512,
            timeout=cdk.Duration.seconds(60),  # of one invocation
            tracing=lambda_.Tracing.ACTIVE,
            durable_config=lambda_.DurableConfig(
                execution_timeout=cdk.Duration.days(7), retention_period=cdk.Duration.days(14)
            ),
            environment={"APPROVAL_TOPIC": topic.topic_arn, "DURABLE_TRACE_VIEW": "invocation"},
        )
        topic.grant_publish(self.function)
        policy = "service-role/AWSLambdaBasicDurableExecutionRolePolicy"
        role = self.function.role
        if role is not None:
            role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(policy))
        lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
        self._add_approvals(package)
        self._add_gate_policy()
        self._add_alarms()

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

    def _add_alarms(self) -> None:
        metrics = {
            "FailedInvocations": (self.function.metric_errors(period=cdk.Duration.minutes(5)), 5),
            "FailedExecutions": (
                self.function.metric("DurableExecutionFailed", statistic="Sum", period=cdk.Duration.minutes(5)),
                1,
            ),
        }
        for name, (metric, threshold) in metrics.items():
            cloudwatch.Alarm(
                self,
                name,
                metric=metric,
                threshold=threshold,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )


if __name__ == "__main__":
    app = cdk.App()
    Orders(app, "Orders")
    app.synth()
