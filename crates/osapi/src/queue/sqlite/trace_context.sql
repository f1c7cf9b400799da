-- Where a job, and each unit of it, belongs in a trace: the headers of W3C Trace Context.
ALTER TABLE jobs ADD COLUMN traceparent TEXT;
ALTER TABLE jobs ADD COLUMN tracestate TEXT;
