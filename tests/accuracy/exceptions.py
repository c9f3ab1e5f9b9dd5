def with_exceptions(f):
    return f
