"""The networks as they were published, exported the way people do it today: what poseedge's exports are measured against."""

from benchmarks.naive.export import export_naive as export_naive
from benchmarks.naive.export import naive_call as naive_call
from benchmarks.naive.export import poses_of as poses_of
from benchmarks.naive.export import published_form as published_form
