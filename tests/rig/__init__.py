# SPDX-License-Identifier: Apache-2.0
"""Real Apache Kafka clusters of several versions, with their own CA, users and ACLs, for tests and the demo."""

from tests.rig.cluster import Cluster
from tests.rig.process import ProcessFailed
from tests.rig.setu import Setu

__all__ = ["Cluster", "ProcessFailed", "Setu"]
