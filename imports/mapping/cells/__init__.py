"""What cells say, without any rule: amounts, dates, HTML, words."""
