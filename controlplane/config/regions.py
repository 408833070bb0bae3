"""The subnets of a network in automatic mode: one a region, with the ranges that GCP gives a fresh one.

From the table of such ranges in GCP's documentation, all of 10.128.0.0/9, in their order; us-central1, where a cluster
is unless told otherwise, has the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from controlplane.config.types import SubnetConfig

_SECOND_BYTES = {
    "us-central1": 128,
    "europe-west1": 132,
    "us-west1": 138,
    "asia-east1": 140,
    "us-east1": 142,
    "asia-northeast1": 146,
    "asia-southeast1": 148,
    "us-east4": 150,
    "australia-southeast1": 152,
    "europe-west2": 154,
    "europe-west3": 156,
    "southamerica-east1": 158,
    "asia-south1": 160,
    "northamerica-northeast1": 162,
    "europe-west4": 164,
    "europe-north1": 166,
    "us-west2": 168,
    "asia-east2": 170,
    "europe-west6": 172,
    "asia-northeast2": 174,
    "asia-northeast3": 178,
    "us-west3": 180,
    "us-west4": 182,
    "asia-southeast2": 184,
    "europe-central2": 186,
    "northamerica-northeast2": 188,
    "asia-south2": 190,
    "australia-southeast2": 192,
    "southamerica-west1": 194,
    "europe-west8": 198,
    "europe-west9": 200,
    "us-east5": 202,
    "europe-southwest1": 204,
    "us-south1": 206,
    "me-west1": 208,
    "europe-west12": 210,
    "me-central1": 212,
    "europe-west10": 214,
    "africa-south1": 218,
    "northamerica-south1": 224,
    "europe-north2": 226,
}
REGIONS = tuple(_SECOND_BYTES)


def auto_subnets(regions: Sequence[str] = ()) -> tuple[SubnetConfig, ...]:
    """A subnet for each region, called as it is; all of them if none is named."""
    return tuple(
        SubnetConfig(region, region, IPv4Network(f"10.{_SECOND_BYTES[region]}.0.0/20"))
        for region in REGIONS
        if not regions or region in regions
    )
