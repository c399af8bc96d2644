<?php
declare(strict_types=1);

require __DIR__ . '/metadata.php';

$items = [
    'Instance ID' => 'instance-id',
    'Instance type' => 'instance-type',
    'Image ID' => 'ami-id',
    'Availability Zone' => 'placement/availability-zone',
    'Region' => 'placement/region',
    'Host name' => 'local-hostname',
    'Private address' => 'local-ipv4',
    'Public address' => 'public-ipv4',
    'Public host name' => 'public-hostname',
    'MAC address' => 'mac',
    'Security groups' => 'security-groups',
];

$rows = [];
foreach ($items as $label => $item) {
    $rows[$label] = metadata($item);
}
$answered = $rows['Instance ID'] !== null;

function shown(?string $value): string
{
    return $value === null ? '&ndash;' : nl2br(htmlspecialchars($value));
}

http_response_code($answered ? 200 : 503);
header('Cache-Control: no-store');
?>
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>EC2 metadata of <?= shown($rows['Instance ID']) ?></title>
  <link rel="stylesheet" href="style.css">
</head>
<body>
  <main>
    <h1>This instance, in its own words</h1>
<?php if (!$answered): ?>
    <p class="problem">The metadata service at 169.254.169.254 gives no answer.</p>
<?php endif; ?>
    <table>
<?php foreach ($rows as $label => $value): ?>
      <tr><th scope="row"><?= htmlspecialchars($label) ?></th><td><?= shown($value) ?></td></tr>
<?php endforeach; ?>
    </table>
    <p class="visitor">You come from <?= shown($_SERVER['REMOTE_ADDR'] ?? null) ?>.</p>
  </main>
</body>
</html>
