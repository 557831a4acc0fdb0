"""What a run did: as typed data, as the documented JSON object, and in lines for people."""

from bnfold.report.report import JSON_FORMAT, Counts, Report, after_writing, check_complete

__all__ = ["JSON_FORMAT", "Counts", "Report", "after_writing", "check_complete"]
