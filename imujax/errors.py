"""The one exception for mistakes that a user can make and mend."""


class UserError(ValueError):
    """One sentence: what is wrong, where, and how to mend it.

    The command line prints it after `imujax: ` and exits with status 2, without a traceback.
    """
