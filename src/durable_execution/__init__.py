"""Durable execution for AWS Lambda durable functions, made to be seen into."""
