import datetime
import os

import boto3
import cfnresponse

FORMS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}


def load(first, last):
    """Adds the partitions from one point in time to another. Those that are there stay."""
    glue = boto3.client("glue")
    table = {"DatabaseName": os.environ["DATABASE"]}
    storage = glue.get_table(Name=os.environ["TABLE"], **table)["Table"]["StorageDescriptor"]
    table["TableName"] = os.environ["TABLE"]
    names = os.environ["PARTITIONS"].split()
    hourly = "hour" in names
    at = first.replace(hour=first.hour if hourly else 0, minute=0, second=0, microsecond=0)
    partitions = []
    while at <= last:
        folder = at.strftime(os.environ["FOLDERS"])
        partitions.append({
            "Values": [at.strftime(FORMS[name]) for name in names],
            "StorageDescriptor": {**storage, "Location": storage["Location"] + folder},
        })
        at += datetime.timedelta(hours=1) if hourly else datetime.timedelta(days=1)
    for begin in range(0, len(partitions), 100):
        some = partitions[begin:begin + 100]
        answer = glue.batch_create_partition(PartitionInputList=some, **table)
        codes = {it["ErrorDetail"]["ErrorCode"] for it in answer.get("Errors", [])}
        if codes - {"AlreadyExistsException"}:
            raise RuntimeError(f"partitions were not added: {sorted(codes)}")


def handler(event, context):
    now = datetime.datetime.utcnow()
    ahead = now + datetime.timedelta(days=int(os.environ["DAYS"]))
    if "ResponseURL" not in event:
        load(now, ahead)
        return
    try:
        if event["RequestType"] != "Delete":
            asked = event["ResourceProperties"]
            time = lambda name, usual: datetime.datetime.fromisoformat(asked[name]) if asked[name] else usual
            load(time("Start", now), time("End", ahead))
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {})
    except Exception as error:
        cfnresponse.send(event, context, cfnresponse.FAILED, {"Why": str(error)})
