# SPDX-License-Identifier: Apache-2.0
"""Setu before real Kafka brokers."""
